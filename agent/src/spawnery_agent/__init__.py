"""For agents: tell of progress, ask, and say how it ended, over the streams of the job.

The README beside this package has an example of five lines.
"""

from spawnery_agent.agent import Agent, AgentError, NotAnswered

__all__ = ["Agent", "AgentError", "NotAnswered"]
