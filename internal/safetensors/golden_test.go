package safetensors

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"govla/internal/testenv"
)

// The golden files were written by the reference SmolVLA implementation's side, with PyTorch.

func openGolden(t *testing.T, name string) *File {
	t.Helper()
	f, err := Open(testenv.Shared(t, "golden/smolvla/"+name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// TestGoldenRoundTrip opens every golden file, and holds what Marshal makes of it
// against it.
func TestGoldenRoundTrip(t *testing.T) {
	root, files := testenv.Shared(t, "golden/smolvla"), 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".safetensors" {
			return err
		}
		files++
		f, err := Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		again, err := Parse(marshal(t, f.Tensors, f.Metadata), "marshalled")
		if err != nil {
			return err
		}
		if len(f.Tensors) == 0 || !sameSet(f.Tensors, again.Tensors) {
			t.Errorf("%s: the %d tensors are others after a round trip", path, len(f.Tensors))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Errorf("found %d golden files under %s, want at least 10", files, root)
	}
}

func TestGoldenNamesAndShapes(t *testing.T) {
	list, err := os.ReadFile(testenv.Shared(t, "golden/smolvla/names_tiny.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(list)), "\n")
	slices.Sort(want)
	for _, name := range []string{"checkpoint/model.safetensors", "checkpoint_mixed_bf16/model.safetensors"} {
		f := openGolden(t, name)
		var have []string
		for _, tensor := range f.Tensors {
			shape := strings.ReplaceAll(fmt.Sprint(tensor.Shape), " ", ", ")
			have = append(have, tensor.Name+"\t"+shape)
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s: have tensors\n%s\nwant\n%s", name, strings.Join(have, "\n"), strings.Join(want, "\n"))
		}
		if f.Metadata["format"] != "pt" {
			t.Errorf("%s: metadata is %q, want format pt", name, f.Metadata)
		}
	}
}

// TestGoldenBF16 rounds the F32 checkpoint's weights to BF16 and compares them, bit by bit,
// with the BF16 checkpoint, which PyTorch rounded.
func TestGoldenBF16(t *testing.T) {
	exact, rounded := openGolden(t, "checkpoint/model.safetensors"), openGolden(t, "checkpoint_mixed_bf16/model.safetensors")
	compared := 0
	for _, want := range rounded.Tensors {
		weights, err := exact.Float32(want.Name, want.Shape...)
		if err != nil {
			t.Fatal(err)
		}
		have, err := FromFloat32s(want.Name, want.DType, weights, want.Shape...)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have.Data, want.Data) {
			t.Errorf("%s as %s is not what PyTorch made of it", want.Name, want.DType)
		}
		if want.DType == BF16 {
			compared += len(weights)
		}
	}
	if compared < 100_000 {
		t.Errorf("compared %d BF16 weights, want most of the model", compared)
	}
}

// TestGoldenValues checks relations that hold between numbers of different golden files,
// and so only if each was read from the right place in the right way.
func TestGoldenValues(t *testing.T) {
	float32s := func(f *File, name string, shape ...int) []float32 {
		values, err := f.Float32(name, shape...)
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	statistics := openGolden(t, "checkpoint/policy_preprocessor_step_5_normalizer_processor.safetensors")
	example := openGolden(t, "golden_normalise.safetensors")
	mean, std := float32s(statistics, "observation.state.mean", 6), float32s(statistics, "observation.state.std", 6)
	raw, normalised := float32s(example, "state.raw", 6), float32s(example, "state.normalised", 6)
	for i, want := range normalised {
		if got := (raw[i] - mean[i]) / (std[i] + 1e-8); math.Abs(float64(got-want)) > 1e-5 {
			t.Errorf("state %d normalises to %v, want %v", i, got, want)
		}
	}

	// F64: the embedding of a time is sines, then cosines of the same angles.
	embedding := float32s(openGolden(t, "golden_time_embedding.safetensors"), "d720.step3", 1, 720)
	for i := range 360 {
		sine, cosine := float64(embedding[i]), float64(embedding[360+i])
		if math.Abs(sine*sine+cosine*cosine-1) > 1e-6 {
			t.Errorf("angle %d of the time embedding has sine %v and cosine %v", i, sine, cosine)
		}
	}

	// I64 and BOOL, which make what lies behind them unaligned: a token counts where the
	// mask says so, and the padding behind the text is token 0 in this file.
	inputs := openGolden(t, "golden_A_cam2_masked.safetensors")
	tokens, err := inputs.Int64("input.observation.language.tokens", 1, 12)
	if err != nil {
		t.Fatal(err)
	}
	attention, err := inputs.Lookup("input.observation.language.attention_mask")
	if err != nil {
		t.Fatal(err)
	}
	mask, err := attention.Bools()
	if err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		if (token != 0) != mask[i] {
			t.Errorf("token %d is %d where the mask is %v", i, token, mask[i])
		}
	}

	// U8 and F32: what the model sees is the picture, scaled to -1..1.
	pictures := openGolden(t, "golden_preprocess.safetensors")
	picture, err := pictures.Int64("64x64.u8", 1, 3, 64, 64)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range float32s(pictures, "64x64.to64x64", 1, 3, 64, 64) {
		if got := float32(picture[i])/255*2 - 1; math.Abs(float64(got-want)) > 1e-6 {
			t.Fatalf("pixel %d becomes %v, want %v", i, got, want)
		}
	}
}
