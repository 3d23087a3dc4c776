"""Ask the serving process over HTTP, as any client would."""

from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from include.errors import ContractViolationError, ServiceUnavailableError

ANSWER_SECONDS = 10.0
HTTP_TOO_MANY = 429
HTTP_SERVER_ERROR = 500


def ask_prediction(serving_uri: str, project: str, image: Path, token: str = "") -> dict[str, Any]:
    """Return the answer to one image file.

    :param token: What serving asks for; none where it asks for none.
    :raises ContractViolationError: the file cannot be read, or is refused.
    :raises ServiceUnavailableError: nobody answers, no release is in service, or serving has enough to do.
    """
    try:
        data = image.read_bytes()
    except OSError as error:
        raise ContractViolationError(f"{image} cannot be read: {error.strerror}; name an image file") from error
    return _post(serving_uri, token, "predict", str(image), params={"project": project}, content=data)


def send_feedback(serving_uri: str, project: str, request_id: str, label: str, token: str = "") -> dict[str, Any]:
    """Tell what the image of an answered request showed; return what was recorded.

    :param token: What serving asks for; none where it asks for none.
    :raises ContractViolationError: the request is another project's, or is refused.
    :raises ServiceUnavailableError: nobody answers, no release is in service, or serving has enough to do.
    """
    if not request_id.startswith(f"{project}-"):
        raise ContractViolationError(
            f"{request_id!r} is no request of {project}; give the request_id that came with the prediction"
        )
    return _post(serving_uri, token, "feedback", f"label {label!r}", json={"request_id": request_id, "label": label})


def _post(serving_uri: str, token: str, path: str, subject: str, **request: Any) -> dict[str, Any]:
    where = serving_uri.rstrip("/")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.post(f"{where}/v1/{path}", headers=headers, timeout=ANSWER_SECONDS, **request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceUnavailableError(f"serving at {where} does not answer: {error}; see `make status`") from error
    try:
        if answer.is_error:
            raise _read_refusal(answer, subject)
        return dict(answer.json())
    except (ValidationError, ValueError, TypeError) as error:
        raise ContractViolationError(
            f"{where} answers ({answer.status_code}), but not as a serving process does; check WINDHOVER_SERVING_URI"
        ) from error


def _read_refusal(answer: httpx.Response, subject: str) -> ContractViolationError | ServiceUnavailableError:
    # Imported late: it brings a web framework along, which only a refused request needs.
    from include.serving.refusals import Refusal

    refusal = Refusal.model_validate_json(answer.content)
    said = f"{refusal.reason}; {refusal.remedy}"
    if answer.status_code >= HTTP_SERVER_ERROR or answer.status_code == HTTP_TOO_MANY:
        return ServiceUnavailableError(f"serving has no answer for {subject}: {said}")
    return ContractViolationError(f"serving refuses {subject}: {said}")
