"""Defect: a call to the LLM has no time limit."""

import worker

worker.CALL_LIMIT_S = None
worker.main()
