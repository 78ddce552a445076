"""Text to speech that is paid for once: the cache, its keys, and answers that several callers share."""
