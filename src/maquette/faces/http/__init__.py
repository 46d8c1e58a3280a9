"""The studio's server: every verb, every thing of the workspace and a warm model, for programs and for the page."""

from maquette.faces.http.server import serve as serve
