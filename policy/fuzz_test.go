package policy

import (
	"testing"
	"testing/fstest"
	"time"

	"govla/actions"
)

// FuzzConfig loads a checkpoint with any config.json. It must not panic, and a policy that
// loads must be one that can be asked.
func FuzzConfig(f *testing.F) { fuzz(f, "config.json") }

// FuzzPreprocessor and FuzzPostprocessor do the same with the files that describe the
// normalisation.
func FuzzPreprocessor(f *testing.F)  { fuzz(f, preprocessorFile) }
func FuzzPostprocessor(f *testing.F) { fuzz(f, postprocessorFile) }

func fuzz(f *testing.F, file string) {
	var folders []fstest.MapFS
	for _, kind := range []string{"flow", "tokens"} {
		folder := files(f, fixture(f, kind))
		folders = append(folders, folder)
		f.Add(folder[file].Data)
	}
	f.Add([]byte("null"))
	f.Add([]byte(`{"steps": [{"registry_name": "normalizer_processor", "state_file": "."}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, folder := range folders {
			spoiled := fstest.MapFS{}
			for name, content := range folder {
				spoiled[name] = content
			}
			spoiled[file] = &fstest.MapFile{Data: data}
			p, err := load(spoiled, Options{})
			if err != nil {
				continue
			}
			spec := p.Spec()
			in := actions.Input{Window: make([]actions.Observation, spec.ObservationSteps)}
			for i := range in.Window {
				in.Window[i].State = make([]float32, len(spec.State))
			}
			chunk, err := p.Predict(t.Context(), in)
			if err != nil {
				t.Fatalf("loaded, but: %v", err)
			}
			if chunk.Horizon() != spec.Horizon || chunk.Dim != len(spec.Action) || chunk.Step <= 0 || chunk.Step > time.Hour*24*365 {
				t.Fatalf("chunk of %d actions of %d numbers every %v from a policy with %+v", chunk.Horizon(), chunk.Dim, chunk.Step, spec)
			}
		}
	})
}
