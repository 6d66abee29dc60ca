"""Recipes: what the jobs `import_note`, `parse_ingredient`, `format_instruction` and `categorize` are made of.

    words        numbers, units and phrases, as tables     amounts      `1 1/2`, `2–3`, `half a dozen`; with their units
    segments     parts of a line, which cover all of it    ingredients  a line into amount, unit, ingredient, comment
    measures     an amount, its unit, its package         notes_model  a note as data
    instructions a step, its times and temperatures        notes        an exported note into lines
    categories   what kind of dish, and why                store        SQLite or PostgreSQL, one transaction each

All but `store` is pure. Time grows with the length of what is read, whatever it is.
"""
