"""A streamed answer that is read in the background while the tour does other things."""

import threading
import time

from openai import APIError

# Far more than the tour lets it say, so that it never ends by itself.
TOKENS = 1800


class BackgroundStream:
    """One long streamed chat answer: when each piece came, and how it ended."""

    def __init__(self, client, model):
        self.arrivals = []
        self.finished = False
        self.error = None
        self.ended_at = None
        self.session = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(client, model), daemon=True)
        self._thread.start()

    def _read(self, client, model):
        try:
            response = client.chat.completions.with_raw_response.create(
                model=model,
                messages=[{"role": "user", "content": "Tell a very long story about a river."}],
                max_tokens=TOKENS,
                stream=True,
                # A real model goes on after the end of its story; a simulated one repeats itself.
                extra_body={"ignore_eos": True, "simulate": {"tokens": TOKENS}},
            )
            self.session = response.headers.get("penstock-session")
            for chunk in response.parse():
                if chunk.choices and chunk.choices[0].delta.content:
                    self._note(lambda: self.arrivals.append(time.time()))
            self._note(lambda: setattr(self, "finished", True))
        except APIError as error:
            self._note(lambda: setattr(self, "error", error))
        finally:
            self._note(lambda: setattr(self, "ended_at", time.time()))

    def _note(self, change):
        with self._changed:
            change()
            self._changed.notify_all()

    def wait_for_pieces(self, more, seconds_max):
        """Waits until this many further pieces came; false if the stream ended or time is over."""
        with self._changed:
            goal = len(self.arrivals) + more
            self._changed.wait_for(
                lambda: len(self.arrivals) >= goal or self.ended_at, seconds_max
            )
            return len(self.arrivals) >= goal

    def wait_for_end(self, seconds_max):
        with self._changed:
            return self._changed.wait_for(lambda: self.ended_at, seconds_max) is not None
