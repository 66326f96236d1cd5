"""What our clients of Flower's APIs add to its own: headers, and nothing that stays behind."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import httpx
import pytest

from wardround.transport.channel import HeaderInterceptor


@pytest.fixture
def no_collector():
    """Without the garbage collector only what nobody refers to goes."""
    gc.disable()
    yield
    gc.enable()


def answer(request):
    return httpx.Response(200, content=b"x" * 1000, headers={"seen": request.headers.get("who", "")})


def test_an_answer_goes_with_its_last_user(no_collector):
    """It holds a part of a model; the next one must not come on top of it."""
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        context = SimpleNamespace(request=client.build_request("POST", "http://loopback/"))
        interceptor = HeaderInterceptor(lambda _: {"who": "the conductor"})
        response = interceptor.intercept(context, lambda each: client.send(each.request))
        assert (response.headers["seen"], response.content) == ("the conductor", b"x" * 1000)
        gone = weakref.ref(response)
        del response
        assert gone() is None


def test_an_answer_that_is_still_read_keeps_its_stream():
    """A stream is read after the interceptor has seen its beginning."""
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        context = SimpleNamespace(request=client.build_request("POST", "http://loopback/"))
        response = HeaderInterceptor(lambda _: {}).intercept(context, lambda each: client.send(each.request, stream=True))
        assert response.read() == b"x" * 1000
