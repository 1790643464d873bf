"""x"""
from __future__ import annotations
def report_page(window, mixed): return ""
