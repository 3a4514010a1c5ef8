"""Writes a model for llama.cpp: random weights, half a megabyte, the same bytes every time.

What it says means nothing, but it says it in printable text, calls tools when a grammar makes it, and
gives every text a vector of its own.
"""

import sys

import gguf
import numpy

WIDTH, HEADS, LAYERS, HIDDEN = 64, 4, 2, 128
CONTEXT = 65536

WORDS = """
 the a of to and in is it you that he was for on are with as his they be at one have this from
 or had by hot but some what there we can out other were all your when up use word how said an
 each she which do their time if will way about many then them would write like so these her long
""".split()
# Without backquotes: a grammar for JSON lets it stand in a fence.
PRINTABLE = [chr(code) for code in range(33, 127) if chr(code) != "`"] + list("éß日本\U0001f600")

# Without it llama.cpp would fall back on a chat format that knows no tools.
TEMPLATE = """\
{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\\n</tools>\\nFor each call, return within <tool_call></tool_call> tags:\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- for call in message.tool_calls or [] %}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


def vocabulary():
    """Text, score and type of every token; the first three and the bytes are where llama.cpp expects them."""
    kind = gguf.TokenType
    tokens = [("<unk>", 0, kind.UNKNOWN), ("<s>", 0, kind.CONTROL), ("</s>", 0, kind.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0, kind.BYTE) for byte in range(256)]
    texts = PRINTABLE + ["\u2581" + word for word in WORDS] + ["\u2581"]
    tokens += [(text, -number, kind.NORMAL) for number, text in enumerate(texts)]
    # The first with its line end: one token, and the grammar of the call takes over.
    marks = ["<tool_call>\n", "</tool_call>", "<|im_start|>", "<|im_end|>"]
    return tokens + [(text, 0, kind.USER_DEFINED) for text in marks]


def weights(tokens):
    """Every tensor, by llama.cpp's name for it."""
    random = numpy.random.default_rng(7)

    def tensor(*shape, scale=1.0):
        values = random.standard_normal(shape) * scale / numpy.sqrt(shape[-1])
        return values.astype(numpy.float32)

    ones = numpy.ones(WIDTH, dtype=numpy.float32)
    # The first number of every state stays large: with it the last layer rules tokens out.
    embedded = tensor(len(tokens), WIDTH, scale=8)
    embedded[:, 0] = 8
    output = tensor(len(tokens), WIDTH, scale=4)
    spoken = [kind is gguf.TokenType.NORMAL for _, _, kind in tokens]
    output[:, 0] = numpy.where(spoken, 4, -4)
    yield "token_embd.weight", embedded
    for layer in range(LAYERS):
        yield f"blk.{layer}.attn_norm.weight", ones
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}.weight", tensor(WIDTH, WIDTH)
        yield f"blk.{layer}.ffn_norm.weight", ones
        yield f"blk.{layer}.ffn_gate.weight", tensor(HIDDEN, WIDTH)
        yield f"blk.{layer}.ffn_up.weight", tensor(HIDDEN, WIDTH)
        yield f"blk.{layer}.ffn_down.weight", tensor(WIDTH, HIDDEN)
    yield "output_norm.weight", ones
    yield "output.weight", output


def main(path):
    tokens = vocabulary()
    texts, scores, kinds = zip(*tokens)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    # Or a grammar that begins with the template's last line would not accept it.
    writer.add_add_space_prefix(False)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, values in weights(tokens):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(sys.argv[1])
