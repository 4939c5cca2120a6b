"""The one block of code in a reply."""

from __future__ import annotations

import pytest

from llm_gateway_nb.errors import CodeBlockError
from llm_gateway_nb.harnesses.code_block import code_block


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("```python\nx = 1\n```", "x = 1"),
        ("Let me look.\n\n```python\nprint(1)\n\nprint(2)\n```\n\n", "print(1)\n\nprint(2)"),
        ("Windows\r\n```python\r\nx = 1\r\ny = 2\r\n```\r\n", "x = 1\ny = 2"),
        ("~~~python\nx = '''\n```\n'''\n~~~", "x = '''\n```\n'''"),
        ("````python\nprint('''```python\n1\n```''')\n````", "print('''```python\n1\n```''')"),
        ("```Python\nx = 1\n```", "x = 1"),
        ("``` python \nx = 1\n```  ", "x = 1"),
        ("1. First:\n   ```python\n   if x:\n       y()\n   ```", "if x:\n    y()"),
        ("<thinking>\n```python\nx = 1\n```", "x = 1"),
        ("Not run:\n```json\n{}\n```\nRun:\n```python\nx = 1\n```", "x = 1"),
        ("Inline `code` and ```x = 2``` too.\n```python\nx = 1\n```", "x = 1"),
    ],
)
def test_it_is_found_however_it_is_fenced(reply: str, code: str) -> None:
    assert code_block(reply) == code


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("Just prose.", "no code block in the reply"),
        ("", "no code block"),
        ("    x = 1", "no code block"),
        ("```js\n1\n```", r"no code block marked python .* marked 'js'"),
        ("```\n1\n```", "marked nothing"),
        ("```python\n1\n```\n```python\n2\n```", "multiple code blocks .* 2 code blocks"),
        ("```python\n1\n```\na\n```python\n2\n```\nb\n```python\n3\n```", "3 code blocks"),
        ("```python\n1\n```\nThis prints 1.", "after the closing code fence"),
        ("```python\n1\n```\n```text\n1\n```", "after the closing code fence"),
        ("```python\nx = 1", "not closed"),
        ("```python", "not closed"),
        ("```python\nx = '''\n```\n'''\n```", "after the closing code fence.*~~~"),
        ("```python\n\n```", "empty"),
    ],
)
def test_anything_else_is_an_error_that_says_what_to_write(reply: str, says: str) -> None:
    with pytest.raises(CodeBlockError, match=f"(?s){says}.*Write exactly one block"):
        code_block(reply)
