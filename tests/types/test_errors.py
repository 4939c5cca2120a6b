"""The tree of exceptions is the one that its docstring draws."""

from __future__ import annotations

import inspect
import re

import pytest

from llm_gateway_nb import errors, exceptions
from llm_gateway_nb.errors import GatewayError, ProviderAPIError, RemoteError, UnknownProviderError, UnknownToolError


def drawn() -> dict[str, str | None]:
    """Each class in the drawing with the one it hangs from."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        if found := re.match(r"    ((?:[│ ] {3})*(?:[├└]── )?)([A-Z]\w+Error)\b", line):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            parents[found[2]] = path[depth - 1] if depth else None
    return parents


def real() -> dict[str, str | None]:
    classes = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]
    return {cls.__name__: None if cls is GatewayError else cls.__bases__[0].__name__ for cls in classes}


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert drawn() == real()


def test_the_list_of_names_is_sorted_and_complete() -> None:
    assert errors.__all__ == sorted(errors.__all__)
    assert set(errors.__all__) == set(real())


def test_the_guides_module_has_the_same_names() -> None:
    assert exceptions.__all__ == errors.__all__
    assert all(getattr(exceptions, name) is getattr(errors, name) for name in errors.__all__)


def test_every_class_says_what_it_means() -> None:
    assert [name for name in errors.__all__ if not getattr(errors, name).__doc__] == []


def test_a_misspelled_provider_is_told_the_right_one() -> None:
    error = UnknownProviderError("opnai", known=["openai", "anthropic"])
    assert str(error) == "There is no provider 'opnai'. Did you mean 'openai'? Known are anthropic, openai."
    assert error.provider == "opnai"


def test_an_unknown_tool_is_told_with_those_that_were_offered() -> None:
    assert str(UnknownToolError("rm", offered=["read", "bash"])) == "There is no tool 'rm'. Offered are: bash, read."
    assert str(UnknownToolError("rm", offered=[])) == "There is no tool 'rm'. Offered are: none."


def test_a_failed_service_is_known_by_its_attributes() -> None:
    error = errors.RateLimitError("slow down", status=429, retry_after=1.5, provider="openai", model="m", attempts=3)
    assert isinstance(error, ProviderAPIError)
    assert (error.status, error.retry_after, error.provider, error.model, error.attempts) == (
        429,
        1.5,
        "openai",
        "m",
        3,
    )
    assert str(error) == "slow down"


def test_a_remote_error_keeps_the_name_it_had() -> None:
    assert RemoteError("too far", name="RangeError").name == "RangeError"


@pytest.mark.parametrize("name", ["InvalidMessagesError", "ToolInputError"])
def test_a_wrong_value_is_a_value_error_too(name: str) -> None:
    assert issubclass(getattr(errors, name), ValueError)
