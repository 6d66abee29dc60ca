"""`longshore token`: a token for the local cloud's API."""

import click

from infra.cli.options import Command, options_of_a_new_cloud


@click.command("token", cls=Command)
@click.option(
    "--role", metavar="ROLE", default="operator", show_default=True, help="viewer, producer, operator, admin."
)
@click.option("--hours", type=click.FloatRange(0.01, 720), default=24, show_default=True, help="How long it opens.")
def command(role: str, hours: float) -> None:
    """Make a token for the local cloud's API.

    It is for the tenant that --tenant names, signed with .longshore/key of this directory, where `longshore up` was
    started, and opens nothing else. A deployed API takes the tokens of its own issuer.

    \b
    Examples:
      curl -H "Authorization: Bearer $(longshore token)" http://127.0.0.1:4600/jobs
      longshore token --tenant acme --role viewer --hours 1
      LONGSHORE_TOKEN=$(longshore token) longshore --api http://127.0.0.1:4600 list
    """
    from infra.cli.cloud import development_token
    from infra.cli.render import print_json
    from shared.runtime.api.messages import Role

    where = options_of_a_new_cloud()
    if role not in [*Role]:
        raise click.BadParameter(f"{role!r}; the roles are {', '.join(Role)}", param_hint="--role")
    token = development_token(where, role, life_s=round(hours * 3600))
    if where.json:
        print_json({"token": token, "tenant_id": where.tenant, "role": role, "expires_in_s": round(hours * 3600)})
    else:
        click.echo(token)
