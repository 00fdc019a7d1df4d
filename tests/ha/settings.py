"""The configs that the scenarios write."""

NAME = "oss.test"


def toml(origin, listeners, admin=None, marker="m0", server="", more="", listener_more="", name=NAME):
    """Returns a config with these `listeners`. A cross-origin response exposes the header `marker`, which
    identifies the config in effect."""
    parts = [
        f'[server]\nworkers = 2\n{server}',
        f'[dns]\nservers = ["{origin.dns[0]}:{origin.dns[1]}"]\nmin_ttl = "1s"\nmax_ttl = "5s"\ntimeout = "500ms"\n'
        'allow = ["100.64.0.0/10", "127.0.0.0/8"]',
        '[log]\naccess = "off"']
    if admin:
        parts.append(f'[admin]\naddress = "127.0.0.1:{admin}"')
    parts += [f'[[listener]]\naddress = "{address}"\n{listener_more}' for address in listeners]
    parts.append(
        f'[[route]]\norigin = {{ bucket = "examplebucket", endpoint = "{name}:{origin.port}", tls = false }}\n'
        f'cors = {{ rules = [{{ origins = ["http://a.test"], methods = ["GET"], expose = ["{marker}"] }}] }}')
    return "\n".join([*parts, more]) + "\n"


ASK_MARKER = [("Origin", "http://a.test")]


def marker_of(fields):
    return fields.get("access-control-expose-headers", "")
