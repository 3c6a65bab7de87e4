package smolvla

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"govla/internal/safetensors"
)

const (
	preprocessorState  = "policy_preprocessor_step_5_normalizer_processor.safetensors"
	postprocessorState = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
)

// TestLoadRefuses spoils a checkpoint in one place each.
func TestLoadRefuses(t *testing.T) {
	config := func(fields map[string]any) func(*testing.T, string) {
		return func(t *testing.T, dir string) { changeJSON(t, filepath.Join(dir, configFile), fields) }
	}
	vlm := func(fields map[string]any) func(*testing.T, string) {
		return func(t *testing.T, dir string) { changeJSON(t, filepath.Join(dir, vlmConfigFile), fields) }
	}
	model := func(change func(*safetensors.Tensor)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			changeFile(t, filepath.Join(dir, modelFile), filepath.Join(published, "checkpoint", modelFile), change)
		}
	}
	without := func(name string) func(*testing.T, string) {
		return model(func(tensor *safetensors.Tensor) {
			if tensor.Name == name {
				tensor.Name = ""
			}
		})
	}
	reshaped := func(name string, shape ...int) func(*testing.T, string) {
		return model(func(tensor *safetensors.Tensor) {
			if tensor.Name == name {
				n := 4
				for _, length := range shape {
					n *= length
				}
				tensor.Shape, tensor.Data = shape, make([]byte, n)
			}
		})
	}
	object := func(keys ...any) map[string]any {
		o := map[string]any{}
		for i := 0; i < len(keys); i += 2 {
			o[keys[i].(string)] = keys[i+1]
		}
		return o
	}
	visual := func(shape ...int) map[string]any { return object("type", "VISUAL", "shape", shape) }
	state := object("type", "STATE", "shape", []int{6})

	for name, test := range map[string]struct {
		spoil func(*testing.T, string)
		words []string
	}{
		"no config":           {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, configFile)) }, []string{"config.json"}},
		"no model":            {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, modelFile)) }, []string{"model.safetensors"}},
		"type":                {config(object("type", "pi0")), []string{"config.json", "pi0"}},
		"chunk":               {config(object("chunk_size", 1<<30)), []string{"chunk_size", "1073741824"}},
		"chunk 0":             {config(object("chunk_size", 0)), []string{"chunk_size"}},
		"played":              {config(object("n_action_steps", 11)), []string{"n_action_steps", "11"}},
		"observations":        {config(object("n_obs_steps", 2)), []string{"n_obs_steps", "2"}},
		"steps":               {config(object("num_steps", -1)), []string{"num_steps", "-1"}},
		"tokens":              {config(object("tokenizer_max_length", 1<<40)), []string{"tokenizer_max_length"}},
		"periods":             {config(object("min_period", 5)), []string{"min_period", "5"}},
		"special tokens":      {config(object("add_image_special_tokens", true)), []string{"add_image_special_tokens"}},
		"aloha":               {config(object("adapt_to_pi_aloha", true)), []string{"adapt_to_pi_aloha"}},
		"expert layers":       {config(object("num_expert_layers", 2)), []string{"num_expert_layers", "2"}},
		"too many layers":     {config(object("num_vlm_layers", 1<<40)), []string{"num_vlm_layers", "has 4"}},
		"state dim":           {config(object("max_state_dim", 5)), []string{"observation.state", "[6]"}},
		"other state dim":     {config(object("max_state_dim", 9)), []string{"model.state_proj.weight", "[64 8]", "[64 9]"}},
		"no state":            {config(object("input_features", object("observation.images.a", visual(3, 4, 4)))), []string{"observation.state", "missing"}},
		"no camera":           {config(object("input_features", object("observation.state", state))), []string{"VISUAL"}},
		"empty cameras alone": {config(object("input_features", object("observation.state", state, "observation.images.empty_camera_0", visual(3, 4, 4)))), []string{"VISUAL"}},
		"grey camera":         {config(object("input_features", object("observation.state", state, "observation.images.a", visual(1, 4, 4)))), []string{"images.a", "[1 4 4]"}},
		"no action":           {config(object("output_features", object())), []string{"action", "missing"}},
		"features":            {config(object("input_features", []int{1})), []string{"features"}},
		"image size":          {config(object("resize_imgs_with_padding", []int{32, 64})), []string{"[32 64]", "64x64"}},
		"all self-attention":  {config(object("attention_mode", "self_attn")), []string{"layers.1.self_attn.k_proj.weight", "[32 32]", "[32 48]"}},
		"all cross-attention": {config(object("self_attn_every_n_layers", 0)), []string{"layers.0.self_attn.k_proj.weight"}},

		"vlm activation":  {vlm(object("text_config", object("hidden_act", "gelu"))), []string{"vlm_config.json", "gelu"}},
		"head size":       {vlm(object("text_config", object("head_dim", 48))), []string{"48", "head_dim"}},
		"odd head size":   {vlm(object("text_config", object("head_dim", 1))), []string{"1"}},
		"vision heads":    {vlm(object("vision_config", object("num_attention_heads", 5))), []string{"num_attention_heads"}},
		"epsilon":         {vlm(object("vision_config", object("layer_norm_eps", 0))), []string{"layer_norm_eps"}},
		"no vlm config":   {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, vlmConfigFile)) }, []string{"head_dim", "vlm_config.json"}},
		"missing weights": {without(textLayerName(2) + "mlp.down_proj.weight"), []string{textLayerName(2) + "mlp.down_proj.weight"}},
		"missing bias":    {without(visionLayerName(1) + "self_attn.v_proj.bias"), []string{visionLayerName(1) + "self_attn.v_proj.bias"}},
		"missing norm":    {without(textLayerName(2) + "input_layernorm.weight"), []string{textLayerName(2) + "input_layernorm.weight"}},
		"missing vision":  {without(visionLayerName(0) + "layer_norm1.weight"), []string{visionLayerName(0) + "layer_norm1.weight"}},
		"missing layer": {model(func(tensor *safetensors.Tensor) {
			if strings.HasPrefix(tensor.Name, visionLayerName(0)) {
				tensor.Name = strings.Replace(tensor.Name, "layers.0.", "layers.7.", 1)
			}
		}), []string{"mlp.fc1.weight", "layers.0"}},
		"missing layer in between": {model(func(tensor *safetensors.Tensor) {
			if strings.HasPrefix(tensor.Name, visionLayerName(1)) {
				tensor.Name = strings.Replace(tensor.Name, "layers.1.", "layers.7.", 1)
			}
		}), []string{"layers.1", "missing"}},
		"weights' shape": {reshaped(expertLayerName(3)+"self_attn.o_proj.weight", 47, 64), []string{expertLayerName(3) + "self_attn.o_proj.weight", "[47 64]", "[48 64]"}},
		"positions":      {reshaped(visionPrefix+"embeddings.position_embedding.weight", 15, 48), []string{"15", "square"}},
		"flat positions": {reshaped(visionPrefix+"embeddings.position_embedding.weight", 768), []string{"position_embedding", "[768]"}},
		"no positions":   {reshaped(visionPrefix+"embeddings.position_embedding.weight", 0, 48), []string{"position_embedding", "[0 48]"}},
		"patches":        {reshaped(visionPrefix+"embeddings.patch_embedding.weight", 48, 3, 16, 8), []string{"patch_embedding", "[48 3 16 8]"}},
		"connector":      {reshaped(connectorWeight, 64, 100), []string{connectorWeight, "[64 100]"}},
		"expert width":   {reshaped(expertPrefix+"norm.weight", 47), []string{"47"}},
		"whole numbers": {model(func(tensor *safetensors.Tensor) {
			if tensor.Name == embeddingWeight {
				tensor.DType = safetensors.I32
			}
		}), []string{embeddingWeight, "I32"}},
		"truncated": {func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, modelFile), 1000000); err != nil {
				t.Fatal(err)
			}
		}, []string{modelFile}},

		"no preprocessor":  {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, preprocessorFile)) }, []string{"statistics", preprocessorFile}},
		"no postprocessor": {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, postprocessorFile)) }, []string{"statistics", postprocessorFile}},
		"no state file":    {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, postprocessorState)) }, []string{postprocessorState}},
		"another's statistics": {func(t *testing.T, dir string) { // what the reference passes over in silence
			changeFile(t, filepath.Join(dir, postprocessorState), filepath.Join(published, "checkpoint", postprocessorState), func(tensor *safetensors.Tensor) {
				tensor.Name = "so100." + tensor.Name
			})
		}, []string{"statistics", "action", postprocessorState}},
		"half of the statistics": {func(t *testing.T, dir string) {
			changeFile(t, filepath.Join(dir, postprocessorState), filepath.Join(published, "checkpoint", postprocessorState), func(tensor *safetensors.Tensor) {
				if tensor.Name == "action.std" {
					tensor.Name = ""
				}
			})
		}, []string{"action", "std"}},
		"state file elsewhere": {pipelineStepIs(t, postprocessorFile, 0, "state_file", "../"+postprocessorState), []string{"state_file", ".."}},
		"no state file named":  {pipelineStepIs(t, postprocessorFile, 0, "state_file", nil), []string{"state_file"}},
		"unknown step":         {pipelineStepIs(t, preprocessorFile, 0, "registry_name", "delta_actions_processor"), []string{preprocessorFile, "delta_actions_processor"}},
		"no normaliser":        {pipelineStepIs(t, preprocessorFile, 5, "registry_name", "device_processor"), []string{"normalizer_processor"}},
		"epsilon of norm":      {pipelineStepIs(t, preprocessorFile, 5, "config", object("eps", 0.1)), []string{"eps", "0.1"}},
		"mode":                 {pipelineStepIs(t, preprocessorFile, 5, "config", object("features", object("observation.state", state), "norm_map", object("STATE", "LOG"))), []string{"LOG"}},
		"no mode":              {pipelineStepIs(t, preprocessorFile, 5, "config", object("features", object("observation.state", state))), []string{"norm_map", "STATE"}},
		"state not scaled":     {pipelineStepIs(t, preprocessorFile, 5, "config", object("features", object())), []string{"statistics", "observation.state"}},
		"long instructions":    {pipelineStepIs(t, preprocessorFile, 3, "config", object("max_length", 13)), []string{"max_length", "13", "12"}},
		"config of a step":     {pipelineStepIs(t, preprocessorFile, 3, "config", 7), []string{"tokenizer_processor", "config"}},
		"tokenizer":            {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "tokenizer.json"), "{}") }, []string{"tokenizer.json"}},
		"preprocessor":         {func(t *testing.T, dir string) { write(t, filepath.Join(dir, preprocessorFile), "[") }, []string{preprocessorFile}},
		"config's syntax":      {func(t *testing.T, dir string) { write(t, filepath.Join(dir, configFile), "{") }, []string{configFile}},
		"vlm config's syntax":  {func(t *testing.T, dir string) { write(t, filepath.Join(dir, vlmConfigFile), "{") }, []string{vlmConfigFile}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyCheckpoint(t, published+"/checkpoint")
			test.spoil(t, dir)
			p, err := Load(os.DirFS(dir), dir, Options{})
			if err == nil {
				_ = p.Close()
			}
			complains(t, name, err, test.words...)
		})
	}
	for name, o := range map[string]Options{
		"precision": {Precision: "f16"}, "steps": {Steps: -1}, "rate": {Rate: -1}, "tokenizer": {Tokenizer: "/nowhere"},
	} {
		_, err := Load(os.DirFS(published+"/checkpoint"), "published", o)
		complains(t, name, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pipelineStepIs gives a field of one step of a pipeline another value.
func pipelineStepIs(t *testing.T, file string, step int, field string, value any) func(*testing.T, string) {
	t.Helper()
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, file)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var whole struct {
			Steps []map[string]any `json:"steps"`
		}
		if err := json.Unmarshal(data, &whole); err != nil {
			t.Fatal(err)
		}
		whole.Steps[step][field] = value
		if data, err = json.Marshal(whole); err != nil {
			t.Fatal(err)
		}
		write(t, path, string(data))
	}
}

// What a checkpoint may lack, and what may stand in it otherwise.
func TestLoadAccepts(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		spoil   func(*testing.T, string)
	}{
		"without statistics": {Options{AllowNormalised: true}, func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, preprocessorFile))
			remove(t, filepath.Join(dir, postprocessorFile))
		}},
		"fewer layers": {Options{}, func(t *testing.T, dir string) {
			changeJSON(t, filepath.Join(dir, configFile), map[string]any{"num_vlm_layers": 3})
		}},
		"all layers": {Options{}, func(t *testing.T, dir string) {
			changeJSON(t, filepath.Join(dir, configFile), map[string]any{"num_vlm_layers": 0})
		}},
		"identity": {Options{}, pipelineStepIs(t, postprocessorFile, 0, "config", map[string]any{
			"features": map[string]any{"action": map[string]any{"type": "ACTION", "shape": []int{6}}},
			"norm_map": map[string]any{"ACTION": "IDENTITY"},
		})},
		"no resizing": {Options{}, func(t *testing.T, dir string) {
			// null, which changeJSON would take for an absent field
			data, err := os.ReadFile(filepath.Join(dir, configFile))
			if err != nil {
				t.Fatal(err)
			}
			before, rest, _ := strings.Cut(string(data), `"resize_imgs_with_padding": [`)
			_, rest, _ = strings.Cut(rest, "]")
			write(t, filepath.Join(dir, configFile), before+`"resize_imgs_with_padding": null`+rest)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyCheckpoint(t, published+"/checkpoint")
			test.spoil(t, dir)
			p, err := Load(os.DirFS(dir), dir, test.options)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if _, err := Describe(os.DirFS(dir)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Cameras are called as the robot calls them where the preprocessor renames them.
func TestCamerasRenamed(t *testing.T) {
	p := loadPublished(t, Options{}, func(dir string) {
		pipelineStepIs(t, preprocessorFile, 0, "config", map[string]any{"rename_map": map[string]string{
			"observation.images.top": "observation.images.camera2",
		}})(t, dir)
	})
	if have := strings.Join(p.Spec().Cameras, " "); have != "camera1 top" {
		t.Errorf("cameras %s", have)
	}
}

// Cameras come in the order of the file, whatever their names.
func TestCamerasInOrder(t *testing.T) {
	c, err := readConfig(os.DirFS("testdata/odd"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, camera := range c.cameras() {
		names = append(names, cameraName(camera.Name, nil))
	}
	if have := strings.Join(names, " "); have != "wrist top side" {
		t.Errorf("cameras %s", have)
	}
}

func TestDescribe(t *testing.T) {
	i, err := Describe(os.DirFS("testdata/odd"))
	if err != nil {
		t.Fatal(err)
	}
	// The sizes in odd.py.
	if i.Vision != (TransformerInfo{1, 20, 36, 2, 2}) || i.Text != (TransformerInfo{4, 40, 50, 6, 2}) || i.Expert != (TransformerInfo{4, 34, 44, 6, 2}) ||
		i.CrossAttentionLayers != 2 || i.ImageSize != 24 || i.ImageTokens != 4 || i.Vocabulary != 97 || i.StateDim != 3 || i.ActionDim != 2 ||
		i.ChunkSize != 37 || i.EulerSteps != 4 || i.MaxTokens != 9 || i.Tensors["BF16"] == 0 || i.Tensors["F32"] == 0 ||
		i.NoStateStatistics == "" || i.NoActionStatistics == "" || i.NoTokenizer == "" {
		t.Errorf("have %+v", i)
	}
	if !Is(os.DirFS("testdata/odd")) || Is(os.DirFS("testdata")) || Is(os.DirFS("testdata/nowhere")) {
		t.Error("odd is a checkpoint, its folder is not")
	}
}

func TestVerifyRefuses(t *testing.T) {
	m := openModel(t, published+"/checkpoint", F32, 0)
	const golden = published + "/golden_A_cam2_masked.safetensors"
	for name, test := range map[string]struct {
		change func(*safetensors.Tensor)
		words  []string
	}{
		"no noise":   {func(x *safetensors.Tensor) { rename(x, "input.noise", "") }, []string{"input.noise"}},
		"no state":   {func(x *safetensors.Tensor) { rename(x, stateInput, "") }, []string{stateInput}},
		"no tokens":  {func(x *safetensors.Tensor) { rename(x, "input.observation.language.tokens", "") }, []string{"language.tokens"}},
		"no mask":    {func(x *safetensors.Tensor) { rename(x, "input.observation.language.attention_mask", "") }, []string{"attention_mask"}},
		"no actions": {func(x *safetensors.Tensor) { rename(x, "actions", "") }, []string{"actions"}},
		"shape": {func(x *safetensors.Tensor) {
			if x.Name == "step2.v_t" {
				x.Shape, x.Data = []int{1, 10, 7}, x.Data[:280]
			}
		}, []string{"step2.v_t", "[1 10 7]"}},
		"fewer rows": {func(x *safetensors.Tensor) {
			if x.Name == "prefix.embs" {
				x.Shape, x.Data = []int{1, 20, 64}, x.Data[:20*64*4]
			}
		}, []string{"prefix.embs", "[1 20 64]"}},
	} {
		path := filepath.Join(t.TempDir(), "golden.safetensors")
		changeFile(t, path, golden, test.change)
		_, err := m.Verify(context.Background(), openFile(t, path))
		complains(t, name, err, test.words...)
	}
	_, err := m.Verify(context.Background(), openFile(t, "testdata/odd/golden.safetensors"))
	complains(t, "another model's golden", err, "[1 3 24 24]", "[1 3 64 64]")
}

func rename(tensor *safetensors.Tensor, from, to string) {
	if tensor.Name == from {
		tensor.Name = to
	}
}

func FuzzConfig(f *testing.F) {
	for _, dir := range []string{published + "/checkpoint", "testdata/odd"} {
		for _, name := range []string{configFile, vlmConfigFile} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(`{"type":"smolvla","input_features":{"a":null,"a":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseConfig(data); err == nil {
			// What is accepted has all that is asked of it later.
			if c.stateDim() > c.MaxStateDim || c.actionDim() > c.MaxActionDim || len(c.cameras()) == 0 || c.ExecuteSteps > c.ChunkSize {
				t.Errorf("accepted %+v", c)
			}
			c.isCross(3)
		}
		if v, err := parseVLMConfig(data); err == nil && (v.Text.HeadSize < 2 || v.Vision.Heads < 0) {
			t.Errorf("accepted %+v", v)
		}
	})
}

func FuzzProcessors(f *testing.F) {
	c, err := readConfig(os.DirFS(published + "/checkpoint"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{preprocessorFile, postprocessorFile} {
		data, err := os.ReadFile(filepath.Join(published, "checkpoint", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"steps":[null,{"registry_name":"normalizer_processor","config":null}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePipeline(data)
		if err != nil {
			return
		}
		var before, after processors
		if err := before.before(os.DirFS(published+"/checkpoint"), p, c); err == nil && before.state == nil && before.noState == nil {
			t.Error("no statistics of the state, and no word about it")
		}
		if err := after.after(os.DirFS(published+"/checkpoint"), p, c); err == nil && after.action == nil && after.noAction == nil {
			t.Error("no statistics of the action, and no word about it")
		}
	})
}
