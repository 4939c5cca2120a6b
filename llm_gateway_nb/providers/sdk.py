"""What providers on an official SDK share: address and key, a client a loop, errors, and the models a service lists."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from difflib import get_close_matches
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from llm_gateway_nb._hosts import is_loopback
from llm_gateway_nb.errors import ConfigurationError, GatewayError, InvalidRequestError, ModelNotFoundError
from llm_gateway_nb.providers.base import LLM, ModelRequest, Piece
from llm_gateway_nb.providers.sdk_clients import ClientPool
from llm_gateway_nb.providers.sdk_errors import Asked, as_gateway_error, tells_secret
from llm_gateway_nb.providers.services import Service

__all__ = ["CONNECT_SECONDS", "SDK_SECONDS", "SdkLLM", "goes_by_proxy", "parse_arguments", "wire_settings"]

ClientT = TypeVar("ClientT", bound=Any)

CONNECT_SECONDS = 30.0
"""For a connection, as aiohttp has it. The SDKs give it 5 s, and a thousand calls that start at once on a busy machine take
longer to get under way."""

SDK_SECONDS = 600.0
"""The SDKs' own limit of silence, where nobody sets one."""

_LISTING_SECONDS = 5.0


class SdkLLM(LLM, Generic[ClientT]):
    """A model of a service with an official SDK.

    Attributes:
        base_url: where the service is.
    """

    native_schema = True

    def __init__(
        self,
        model: str | None = None,
        *,
        service: Service,
        make_client: Callable[[str, str | None], tuple[ClientT, Any]],
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float | None = None,
        max_retries: int = 2,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.provider = service.name
        self._service = service
        super().__init__(model or service.model or "", timeout=timeout, max_retries=max_retries, defaults=defaults)
        if api_key is not None and not isinstance(api_key, str):
            raise ConfigurationError(f"{self.provider}: api_key is a text, not a {type(api_key).__name__}.")
        self.base_url = service.address(base_url)
        self._api_key = service.key(api_key)
        address, key = self.base_url, self._api_key
        self._clients: ClientPool[ClientT] = ClientPool(lambda: make_client(address, key))

    @abstractmethod
    def _stream(self, client: ClientT, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """The pieces of one answer; the SDK's exceptions may escape."""

    @abstractmethod
    async def _list_models(self, client: ClientT) -> list[str]:
        """What the service lists."""

    def _secrets(self) -> tuple[str, ...]:
        return (self._api_key,) if self._api_key else ()

    async def aclose(self) -> None:
        await self._clients.aclose()

    def unload_model(self, model: str | None = None) -> None:
        """Close the connections, once what runs over them is done; the service keeps its model. The next call opens new
        ones."""
        self._clients.retire()

    async def supported_models(self) -> list[str]:
        """The names that the service lists, sorted."""
        lease = self._clients.enter()
        try:
            return sorted(await self._list_models(lease.client))
        except Exception as error:  # noqa: BLE001  (an SDK lets through whatever breaks below it)
            raise self._told(error, None) from self._cause(error)
        finally:
            await self._clients.leave(lease)

    def _get_ready(self) -> None:
        self._clients.get()

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        lease = self._clients.enter()
        try:
            async with aclosing(self._stream(lease.client, request)) as pieces:
                async for piece in pieces:
                    yield piece
        except GatewayError:
            raise
        except Exception as error:  # noqa: BLE001  (see `supported_models`)
            told = self._told(error, request.model)
            if isinstance(told, ModelNotFoundError):
                told.args = (f"{told} {await self._closest(request.model)}",)
            raise told from self._cause(error)
        finally:
            await self._clients.leave(lease)

    def _told(self, error: Exception, model: str | None) -> GatewayError:
        asked = Asked(self.provider, self.base_url, self._api_key, self._service.key_variable, model)
        return as_gateway_error(error, asked)

    def _cause(self, error: Exception) -> Exception | None:
        """The cause that a traceback may show."""
        return None if tells_secret(error, self._api_key) else error

    async def _closest(self, model: str) -> str:
        """What to try instead of a model that is not there, if the service lists what it has."""
        try:
            async with asyncio.timeout(_LISTING_SECONDS):
                models = await self.supported_models()
        except (GatewayError, TimeoutError):
            models = []
        if not models:
            return f"Is {model!r} the model's name, and does base_url end with /v1?"
        if close := get_close_matches(model, models, n=3, cutoff=0.4):
            return f"Did you mean {', '.join(map(repr, close))}?"
        more = f" and {len(models) - 5} more" if len(models) > 5 else ""
        return f"It has {', '.join(map(repr, models[:5]))}{more}."


def goes_by_proxy(base_url: str) -> bool:
    """Whether the environment's proxy may be asked for this address. One of this machine's own it can't reach, and would
    say that the service is not there."""
    return not is_loopback(urlsplit(base_url).hostname)


def wire_settings(
    request: ModelRequest, *, provider: str, known: frozenset[str], names: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request's settings under the service's names, in two: what the SDK has a parameter for, and `extra_body`, with
    which everything else reaches the wire as it is.

    Raises:
        InvalidRequestError: a setting would replace a part of the request.
    """
    renamed = {names.get(key, key): value for key, value in request.settings.items() if value is not None}
    for key in ("messages", "stream", "stream_options", "system" if "system" in known else "", "tools"):
        if key in renamed:
            raise InvalidRequestError(
                f"{provider}: {key!r} is no setting; the request has its own.", provider=provider, model=request.model
            )
    body = renamed.pop("extra_body", {})
    extra = {key: value for key, value in renamed.items() if key not in known}
    return {key: value for key, value in renamed.items() if key in known}, {**extra, **body}


def parse_arguments(text: str) -> dict[str, Any] | str:
    """The arguments as an object; the raw text where the model wrote none."""
    try:
        arguments = json.loads(text or "{}")
    except ValueError:
        return text
    return arguments if isinstance(arguments, dict) else text
