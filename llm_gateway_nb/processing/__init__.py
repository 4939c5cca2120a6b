"""Work over many texts: summaries, and batches with progress."""

from llm_gateway_nb.processing.batch import gather_with_progress
from llm_gateway_nb.processing.summarizer import Summarizer, Summary, SummaryLength, SummaryStyle

__all__ = ["Summarizer", "Summary", "SummaryLength", "SummaryStyle", "gather_with_progress"]
