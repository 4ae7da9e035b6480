"""Defect: there is no time limit between the tokens of a stream."""

import agent

agent.llm.CALL_LIMIT_S = agent.llm.TOKEN_LIMIT_S = None
agent.main()
