"""Notes as people export them."""

LASAGNE = """<!DOCTYPE html>
<html><head><title>Grandma's Lasagne</title>
<meta name="source-url" content="https://example.com/lasagne"/>
<meta name="created" content="2020-01-02 10:11:12 +0000"/>
<meta name="keywords" content="Italian, sunday"/>
<script>document.write("<li>2 cups of malice</li>")</script>
</head><body>
<div>From the family book.</div>
<div><b>Ingredients:</b></div>
<div>For the sauce:</div>
<div>1 1/2 lbs ground beef</div><div>2 28-oz cans crushed tomatoes</div>
<div>3 cloves garlic, minced</div><div>salt to taste</div>
<div>For the rest</div>
<div>12 lasagne noodles</div><div>1&frac12; cups ricotta &amp; parmesan</div><div>1 egg (beaten) with 1 tbsp water</div>
<div><br/></div>
<h2>Method</h2>
<ol><li>Brown the beef for 10 minutes.</li><li>Layer everything <i>in a dish</i></li>
<li>Bake at 375°F for 40 to 45 minutes</li></ol>
<h2>Notes</h2><p>Freezes well.</p>
</body></html>"""
