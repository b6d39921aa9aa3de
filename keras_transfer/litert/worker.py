"""The converting process: `python -m keras_transfer.litert.worker`; one JSON request per line in, one answer out.

TensorFlow takes seconds to import and its converter leaks memory (tensorflow#122598), so conversions happen here, in a
process that is kept while a job lasts and renewed now and then.
"""

import os
import queue
import sys
import threading

from keras_transfer.litert.protocol import Answer, Request


def main() -> None:
    """Imports TensorFlow, says so, and serves requests until standard input closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the converter prints to standard output
    requests: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            requests.put(line)
        os._exit(0)  # the parent is gone, or done with us: nobody waits for the result

    threading.Thread(target=listen, daemon=True).start()

    def write(answer: Answer) -> None:
        print(answer.to_json(), file=answers, flush=True)
        give_back_memory()

    from keras_transfer.quick_start import give_back_memory, keep_memory, quicken

    quicken()
    keep_memory()
    from keras_transfer.litert.conversion import serve_requests

    write(Answer("ready"))
    serve_requests(lambda: Request.from_json(requests.get()), write)


if __name__ == "__main__":
    main()
