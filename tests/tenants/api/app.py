"""An app that speaks with the API: JSON, an Authorization header, and what it was answered."""

from __future__ import annotations

from typing import Any

from django.test import Client

from tenants import keys
from tenants.models import ApiKey, User, Workspace
from tenants.scope import scope
from tests.tenants.identity.people import PASSWORD

ROOT = "/api/v1"


class App:
    """`authorization` is the whole header, None for no header; `tokens` what the last sign-in
    gave."""

    def __init__(self, authorization: str | None = None, client: Client | None = None) -> None:
        self.client = client or Client()
        self.authorization = authorization
        self.tokens: dict[str, Any] = {}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The response. Whatever it is, it sets no cookie, and an error is problem+json."""
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        sent = {} if body is None else {"data": body, "content_type": "application/json"}
        response = self.client.generic(method, ROOT + path, headers=headers, **self._encoded(sent))
        assert not response.cookies
        if response.status_code >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["status"] == response.status_code
            assert response.json()["detail"]
        return response

    def _encoded(self, sent: dict[str, Any]) -> dict[str, Any]:
        if sent and not isinstance(sent["data"], str | bytes):
            sent["data"] = self.client._encode_json(sent["data"], sent["content_type"])
        return sent

    def get(self, path: str, **headers: str) -> Any:
        return self.ask("GET", path, **headers)

    def post(self, path: str, **body: Any) -> Any:
        return self.ask("POST", path, body)

    def patch(self, path: str, **body: Any) -> Any:
        return self.ask("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self.ask("DELETE", path)

    def login(self, email: str = "asha@example.com", password: str = PASSWORD, **more: Any) -> Any:
        return self.keep(self.post("/auth/login", email=email, password=password, **more))

    def keep(self, answer: Any) -> Any:
        """The answer; its tokens are used from now on."""
        if answer.status_code == 200:
            self.tokens = answer.json()
            self.authorization = f"Bearer {self.tokens['access_token']}"
        return answer

    def sign_in(self, email: str, password: str = PASSWORD) -> App:
        answer = self.login(email, password)
        assert answer.status_code == 200, answer.content
        return self

    def is_in(self) -> bool:
        """Whether the access token works."""
        status = self.get("/workspaces").status_code
        assert status in (200, 401)
        return status == 200


def wrong_fields(answer: Any) -> list[str]:
    """The fields that a 422 names."""
    assert refused(answer) == (422, "invalid"), answer.content
    return [error["field"] for error in answer.json()["errors"]]


def refused(answer: Any) -> tuple[int, str]:
    """(status, code) of an error."""
    return answer.status_code, answer.json()["code"]


def key_of(workspace: Workspace, *, by: User | None = None, **fields: Any) -> str:
    """A new API key's secret; a secret key that may read the workspace, unless said otherwise."""
    made = {"name": "CRM", "kind": "secret", "scopes": [keys.WORKSPACE_READ], **fields}
    with scope(workspace):
        return keys.create(ApiKey(workspace=workspace, **made), by=by)
