"""llama.cpp's HTTP server on a loopback port, for chat or, with a third argument, for embeddings."""

import sys
import threading

import xllamacpp


def main(model, port, *embeddings):
    params = xllamacpp.CommonParams()
    params.model.path = model
    # A set: a text would count as its letters.
    params.model_alias = {"acme/tiny"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.api_keys = ["dummy-key-0000"]
    params.n_gpu_layers = 0
    # Two would wait for each other, spinning, whenever the machine has something else to do.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.use_jinja = True
    params.endpoint_slots = True
    # Two slots, which share the context: a question can have two answers.
    params.n_parallel = 2
    params.n_ctx = 2 * 16384
    if embeddings:
        params.n_parallel = 1
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_ctx = params.n_batch = params.n_ubatch = 512
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


main(*sys.argv[1:])
