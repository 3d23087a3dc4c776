import asyncio

import pytest

from include.serving.metrics import Metrics, RequestTimer

SCOPE = {"type": "http", "path": "/secret"}


def ask(app, scope):
    async def send(_):
        pass

    asyncio.run(RequestTimer(app, metrics := Metrics())(scope, None, send))
    return metrics


def read_count(metrics, path, status):
    return metrics.registry.get_sample_value("windhover_request_seconds_count", {"path": path, "status": status})


def test_a_request_is_counted_by_its_status_and_never_by_its_address():
    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": 418})

    metrics = ask(answer, SCOPE)
    assert read_count(metrics, "other", "418") == 1
    assert "secret" not in metrics.render().decode()


def test_a_failure_is_counted_and_goes_on():
    async def fail(scope, receive, send):
        raise ZeroDivisionError

    metrics = Metrics()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(RequestTimer(fail, metrics)(SCOPE, None, None))
    assert read_count(metrics, "other", "500") == 1


def test_what_is_no_request_is_not_counted():
    async def live(scope, receive, send):
        scope["seen"] = True

    metrics = ask(live, scope := {"type": "lifespan"})
    assert scope["seen"]
    assert "windhover_request_seconds_count" not in metrics.render().decode()


def test_two_apps_in_one_process_do_not_share_a_registry():
    assert Metrics().registry is not Metrics().registry
