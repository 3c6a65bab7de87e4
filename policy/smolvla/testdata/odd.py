#!/usr/bin/env python3
"""Writes odd/: a checkpoint whose sizes are all unlike the published ones, with random weights, and what the plain
PyTorch implementation in shared/peers makes of it with the first of three cameras masked.

  odd.py SHARED     (needs torch; SHARED is the folder with peers/smolvla_torch.py)
"""
import json, math, os, sys

sys.path.insert(0, os.path.join(sys.argv[1], "peers"))
import torch
import smolvla_torch as peer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "odd")
LAYERS, EVERY, VISION_LAYERS, C, VISION_HEADS, VISION_MLP, PATCH, SIDE, SHUFFLE = 4, 3, 1, 20, 2, 36, 4, 6, 3
H, HQ, HK, D, MLP, E, EXPERT_MLP, VOCABULARY = 40, 6, 2, 8, 50, 34, 44, 97
CHUNK, CAMERAS, TOKENS, STATE_DIM, ACTION_DIM, STEPS, STATE, ACTION = 37, 3, 9, 5, 4, 4, 3, 2
SIZE = PATCH * SIDE


def shapes():
    s, vlm, expert = {}, "model.vlm_with_expert.vlm.model.", "model.vlm_with_expert.lm_expert."

    def linear(name, out, *size, bias=True):
        s[name + ".weight"] = [out, *size]
        if bias:
            s[name + ".bias"] = [out]

    v = vlm + "vision_model."
    linear(v + "embeddings.patch_embedding", C, 3, PATCH, PATCH)
    s[v + "embeddings.position_embedding.weight"] = [SIDE * SIDE, C]
    for i in range(VISION_LAYERS):
        p = f"{v}encoder.layers.{i}."
        for n in ("layer_norm1", "layer_norm2"):
            linear(p + n, C)
        for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{p}self_attn.{n}", C, C)
        linear(p + "mlp.fc1", VISION_MLP, C)
        linear(p + "mlp.fc2", C, VISION_MLP)
    linear(v + "post_layernorm", C)
    linear(vlm + "connector.modality_projection.proj", H, C * SHUFFLE**2, bias=False)
    s[vlm + "text_model.embed_tokens.weight"] = [VOCABULARY, H]

    def block(p, width, mlp, cross):
        for n in ("input_layernorm", "post_attention_layernorm"):
            linear(p + n, width, bias=False)
        linear(p + "self_attn.q_proj", HQ * D, width, bias=False)
        linear(p + "self_attn.o_proj", width, HQ * D, bias=False)
        for n in "kv":
            linear(f"{p}self_attn.{n}_proj", HK * D, HK * D if cross else width, bias=False)
        linear(p + "mlp.gate_proj", mlp, width, bias=False)
        linear(p + "mlp.up_proj", mlp, width, bias=False)
        linear(p + "mlp.down_proj", width, mlp, bias=False)

    for i in range(LAYERS):
        block(f"{vlm}text_model.layers.{i}.", H, MLP, False)
        block(f"{expert}layers.{i}.", E, EXPERT_MLP, i % EVERY != 0)
    linear(expert + "norm", E, bias=False)
    linear("model.state_proj", H, STATE_DIM)
    linear("model.action_in_proj", E, ACTION_DIM)
    linear("model.action_time_mlp_in", E, 2 * E)
    linear("model.action_time_mlp_out", E, E)
    linear("model.action_out_proj", ACTION_DIM, E)
    return s


def main():
    os.makedirs(OUT, exist_ok=True)
    g = torch.Generator().manual_seed(1)
    items = []
    for name, shape in sorted(shapes().items()):
        w = torch.randn(shape, generator=g)
        if name.endswith(".bias"):
            w *= 0.1
        elif len(shape) == 1:
            w = 1 + 0.2 * w
        elif "embed_tokens" in name or "position_embedding" in name:
            w *= 0.15
        else:
            w *= (1.6 if "q_proj" in name or "k_proj" in name else 1) / math.sqrt(math.prod(shape[1:]))
        # As published, a mixture of types.
        items.append((name, shape, torch.float32 if name.count(".") == 2 else torch.bfloat16, lambda w=w: w))
    peer.write_safetensors(os.path.join(OUT, "model.safetensors"), items)
    config = {
        "type": "smolvla",
        "n_obs_steps": 1,
        "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
        "input_features": {
            "observation.state": {"type": "STATE", "shape": [STATE]},
            **{f"observation.images.{n}": {"type": "VISUAL", "shape": [3, SIZE, SIZE]} for n in ("wrist", "top", "side")},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [ACTION]}},
        "chunk_size": CHUNK, "n_action_steps": 5, "max_state_dim": STATE_DIM, "max_action_dim": ACTION_DIM,
        "resize_imgs_with_padding": [SIZE, SIZE], "tokenizer_max_length": TOKENS, "num_steps": STEPS,
        "num_vlm_layers": LAYERS, "num_expert_layers": 0, "self_attn_every_n_layers": EVERY, "prefix_length": 0,
        "min_period": 0.01, "max_period": 2.0,
    }  # fmt: skip
    vlm = {
        "scale_factor": SHUFFLE,
        "vision_config": {"hidden_size": C, "num_hidden_layers": VISION_LAYERS, "num_attention_heads": VISION_HEADS,
                          "patch_size": PATCH, "image_size": SIZE, "layer_norm_eps": 1e-6},
        "text_config": {"hidden_size": H, "num_attention_heads": HQ, "num_key_value_heads": HK, "head_dim": D, "rms_norm_eps": 1e-5},
    }  # fmt: skip
    for name, value in (("config.json", config), ("vlm_config.json", vlm)):
        with open(os.path.join(OUT, name), "w") as f:
            json.dump(value, f, indent=2)
    images = [torch.rand(3, SIZE, SIZE, generator=g) * 2 - 1 for _ in range(CAMERAS)]
    seen = [False, True, True]
    tokens, valid = torch.randint(1, VOCABULARY, (TOKENS,), generator=g), torch.arange(TOKENS) < 6
    state, noise = torch.randn(STATE, generator=g), torch.randn(CHUNK, ACTION_DIM, generator=g)
    trace = {}
    with torch.inference_mode():
        model = peer.load(os.path.join(OUT, "model.safetensors"), config, vlm, torch.float32)
        actions = model(images, seen, tokens, valid, state, noise, pack=False, trace=trace)
    golden = {"input.observation.language.tokens": tokens, "input.observation.language.attention_mask": valid,
              "input.observation.state": state, "input.noise": noise, "actions": actions}  # fmt: skip
    for i, image in enumerate(images):
        golden[f"image.{i}.preprocessed"], golden[f"image.{i}.mask"] = image, torch.tensor(seen[i])
    golden.update({k: v for k, v in trace.items() if not k.startswith("prefix.layer")})
    golden = {k: (v.reshape(1) if v.ndim == 0 else v[None]) for k, v in golden.items()}
    peer.write_safetensors(os.path.join(OUT, "golden.safetensors"), [(k, v.shape, v.dtype, lambda v=v: v) for k, v in sorted(golden.items())])


main()
