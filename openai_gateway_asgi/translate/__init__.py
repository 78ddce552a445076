"""Chat Completions and Responses, each in the words of the other: bodies, answers and events. Pure, no I/O.

Where a value means the same in both APIs its bytes are kept. What cannot be said in the other API is refused, in the
client's own words; nothing that changes an answer is dropped in silence.
"""
