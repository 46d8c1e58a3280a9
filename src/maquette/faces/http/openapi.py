"""The document that describes the API for programs, made from the table of routes."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import maquette
from maquette.faces.http.endpoint import Call, Endpoint, endpoint

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

_ERRORS = {
    "400": "The values are not possible.", "401": "The token is missing or another.", "403": "Another site asks.",
    "404": "There is no such thing.", "409": "It cannot be done now.", "413": "It is too large.",
    "429": "Too much is waiting; Retry-After says when to come again.", "507": "The disk is full.",
}  # fmt: skip


@endpoint("GET", "/openapi.json", "This document", group="Service")
def document(studio: Studio, call: Call) -> Any:
    """OpenAPI 3.1."""
    return made()


@functools.cache
def made() -> Mapping[str, Any]:
    """The document."""
    from maquette.faces.http.routes import table

    paths: dict[str, Any] = {}
    for one in table():
        path = re.sub(r"{(\w+):path}", r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, path)
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    theirs = {
        "type": "object", "required": ["error"], "properties": {
            "error": {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
        },
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Maquette", "version": maquette.__version__,
            "description": "Everything that the command line can, for programs. Every call needs the token.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": error, "OpenAIError": theirs},
        },
    }  # fmt: skip


def _operation(one: Endpoint, path: str) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "description": asked.help, "schema": asked.schema()}
        for name, asked in one.query.items()
    ]
    found: dict[str, Any] = {
        "summary": one.summary, "tags": [one.group], "operationId": _name(one.method, path),
        "parameters": parameters, "responses": _responses(one),
    }  # fmt: skip
    if one.work.__doc__:
        found["description"] = one.work.__doc__.strip().split("\n")[0]
    if one.body is not None:
        found["requestBody"] = {"required": False, "content": {"application/json": {"schema": _inlined(one.body)}}}
    elif one.raw:
        file = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        form = {"multipart/form-data": {"schema": one.form}}
        found["requestBody"] = {"required": False, "content": file if one.form is None else form}
    return found


def _responses(one: Endpoint) -> dict[str, Any]:
    content: dict[str, Any] = {
        media: {"schema": {} if media == "application/json" else {"type": "string"}} for media in one.media.split(", ")
    }
    name = "OpenAIError" if one.path.startswith("/v1/") else "Error"
    error: dict[str, Any] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    if one.path == "/":  # a person who comes without the token is told so on a page
        error["text/html"] = {"schema": {"type": "string"}}
    found: dict[str, Any] = {str(one.status): {"description": "Done.", "content": content}}
    if one.group == "Verbs":
        found["200"] = {"description": "Done within the time that was waited.", "content": content}
    return found | {status: {"description": text, "content": error} for status, text in _ERRORS.items()}


def _inlined(schema: Mapping[str, Any]) -> Any:
    """A schema with what it defines put where it is used: names of other documents must not meet."""
    defined = schema.get("$defs", {})

    def put(value: Any) -> Any:
        if isinstance(value, Mapping):
            if "$ref" in value:
                return put(defined[value["$ref"].rpartition("/")[2]])
            return {key: put(item) for key, item in value.items() if key != "$defs"}
        return [put(item) for item in value] if isinstance(value, (list, tuple)) else value

    return put(schema)


def _name(method: str, path: str) -> str:
    words = re.findall(r"\w+", path.replace("{", "by ").replace("}", ""))
    return "_".join([method.lower(), *words])
