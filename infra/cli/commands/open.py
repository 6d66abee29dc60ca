"""`longshore open`: the dashboard."""

import click

from infra.cli.options import Command, Options, options


@click.command("open", cls=Command)
@click.argument("job_id", metavar="[JOB]", required=False)
@click.option("--print", "only_print", is_flag=True, help="Print its URL instead, for whoever may be signed in as you.")
def command(job_id: str | None, only_print: bool) -> None:
    """Open the dashboard, signed in; or a job's page.

    Of the local cloud that was started in this directory, or of the API that --api names.

    \b
    Examples:
      longshore open
      longshore open job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore open --print | xclip
    """
    import webbrowser

    from infra.cli.render import print_json

    where = options()
    url = _address(where, job_id)
    if where.json:
        print_json({"dashboard": url})
    elif only_print or not webbrowser.open(url):
        click.echo(url)


def _address(where: Options, job_id: str | None) -> str:
    """The token is in the fragment, which no browser sends anywhere."""
    from urllib.parse import urlencode

    from infra.cli.cloud import development_token
    from infra.cli.connect import API_PORT

    base = where.api or f"http://127.0.0.1:{API_PORT}"
    token = where.token if where.api else development_token(where)
    said = {"token": token, "to": job_id and f"/jobs/{job_id}"}
    fragment = urlencode({name: value for name, value in said.items() if value}, safe="/")
    return f"{base.rstrip('/')}/" + (f"#{fragment}" if fragment else "")
