"""Views of types and primitives: one small vocabulary of pieces, drawn in a page and as static HTML."""
