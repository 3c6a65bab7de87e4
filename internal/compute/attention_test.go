package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// referenceAttention is Attention in float64, one loop for each index. q, k and v are as
// in Attend, with both segments of keys in one matrix; firstSegment is the length of the
// first one where there are two.
func referenceAttention(a Attention, q, k, v Matrix, mask Mask, firstSegment int) [][]float64 {
	queries, keys := q.Rows/a.batch(), k.Rows/a.batch()
	out := make([][]float64, q.Rows)
	for r := range out {
		out[r] = make([]float64, q.Cols)
		b, i := r/queries, r%queries
		for h := range a.Heads {
			kvHead := h * a.KVHeads / a.Heads
			scores := make([]float64, keys)
			most := math.Inf(-1)
			for j := range scores {
				for d := range a.HeadSize {
					scores[j] += float64(q.Row(r)[h*a.HeadSize+d]) * float64(k.Row(b*keys + j)[kvHead*a.HeadSize+d])
				}
				scores[j] *= float64(a.scale())
				if mask.Bias.Data != nil {
					scores[j] += float64(mask.Bias.Row(i)[j])
				}
				if mask.Causal && j-firstSegment > i ||
					mask.Pairs != nil && !mask.Pairs[i*keys+j] ||
					len(mask.Keys) == keys && !mask.Keys[j] ||
					len(mask.Keys) > keys && !mask.Keys[b*keys+j] {
					scores[j] = math.Inf(-1)
				}
				most = max(most, scores[j])
			}
			sum := 0.0
			for j, s := range scores {
				scores[j] = 0
				if s > -1e30 {
					scores[j] = math.Exp(s - most)
				}
				sum += scores[j]
			}
			for j, w := range scores {
				if w == 0 {
					continue
				}
				for d := range a.HeadSize {
					out[r][h*a.HeadSize+d] += w / sum * float64(v.Row(b*keys + j)[kvHead*a.HeadSize+d])
				}
			}
		}
	}
	return out
}

// roomy returns a random matrix whose rows lie further apart than they are long, with NaN
// between them. Its numbers are bf16 ones, so that both types can hold them.
func roomy(rng *rand.Rand, rows, cols int) Matrix {
	m := Matrix{Rows: rows, Cols: cols, Stride: cols + rng.IntN(5)}
	m.Data = make([]float32, rows*m.Stride)
	poisonNaN(m.Data)
	for r := range rows {
		for j := range m.Row(r) {
			m.Row(r)[j] = math.Float32frombits(math.Float32bits(float32(rng.NormFloat64())) &^ 0xffff)
		}
	}
	return m
}

func poisonNaN(x []float32) {
	for i := range x {
		x[i] = float32(math.NaN())
	}
}

func halved(m Matrix) MatrixBF16 {
	h := MatrixBF16{Rows: m.Rows, Cols: m.Cols, Stride: m.Stride, Data: make([]BF16, len(m.Data))}
	for i, v := range m.Data {
		h.Data[i] = BF16(math.Float32bits(v) >> 16)
	}
	return h
}

// masks returns one of each form and two with all of them; fewer where the case is large.
func masks(rng *rand.Rand, a Attention, queries, keys, last int) map[string]Mask {
	bools := func(n int) []bool {
		b := make([]bool, n)
		for i := range b {
			b[i] = rng.IntN(3) > 0
		}
		return b
	}
	bias := roomy(rng, queries, keys)
	for i := range bias.Rows {
		for j := range bias.Row(i) {
			switch rng.IntN(8) {
			case 0:
				bias.Row(i)[j] = hidden
			case 1:
				bias.Row(i)[j] = -math.MaxFloat32
			}
		}
	}
	blind := bools(queries * keys)
	clear(blind[:min(keys, len(blind))]) // the first query sees nothing
	m := map[string]Mask{
		"none":      {},
		"keys":      {Keys: bools(keys)},
		"batchKeys": {Keys: bools(a.batch() * keys)},
		"pairs":     {Pairs: blind},
		"bias":      {Bias: bias},
		"nothing":   {Keys: make([]bool, keys)},
		"all":       {Keys: bools(keys), Pairs: bools(queries * keys), Bias: bias},
		"batchAll":  {Keys: bools(a.batch() * keys), Pairs: bools(queries * keys), Bias: bias},
	}
	if queries*keys > 5000 || testing.Short() { // the references take their time
		m = map[string]Mask{"all": m["all"]}
	}
	if queries == last {
		m["causal"] = Mask{Causal: true}
		m["causalKeys"] = Mask{Causal: true, Keys: bools(keys)}
	}
	return m
}

type attentionCase struct {
	a               Attention
	queries         int
	prefix, segment int // keys; prefix < 0 is one segment only
}

var attentionCases = []attentionCase{
	{Attention{Heads: 1, KVHeads: 1, HeadSize: 8}, 1, -1, 1},
	{Attention{Heads: 2, KVHeads: 1, HeadSize: 32}, 65, -1, 65},
	{Attention{Heads: 3, KVHeads: 3, HeadSize: 40, Scale: 0.3}, 5, -1, 33},
	{Attention{Heads: 6, KVHeads: 2, HeadSize: 64}, 50, 113, 50},
	{Attention{Heads: 2, KVHeads: 2, HeadSize: 72}, 13, 64, 13},
	{Attention{Heads: 1, KVHeads: 1, HeadSize: 128}, 33, 1, 33},
	{Attention{Heads: 2, KVHeads: 1, HeadSize: 17, Batch: 3}, 20, -1, 20},
	{Attention{Heads: 4, KVHeads: 2, HeadSize: 32, Batch: 2}, 16, 0, 16},
	{Attention{Heads: 4, KVHeads: 2, HeadSize: 32, Batch: 2}, 7, 31, 0},
	{Attention{Heads: 1, KVHeads: 1, HeadSize: 64}, 200, -1, 500},
	{Attention{Heads: 1, KVHeads: 1, HeadSize: 64}, 1, 4000, 1},
	{Attention{Heads: 1, KVHeads: 1, HeadSize: 16}, 3, -1, 0},
	{Attention{Heads: 1, KVHeads: 1, HeadSize: 16}, 0, -1, 3},
}

func TestAttendMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for _, c := range attentionCases {
			for _, bf16 := range []bool{false, true} {
				c.a.BF16 = bf16
				for name, mask := range masks(rng, c.a, c.queries, max(0, c.prefix)+c.segment, c.segment) {
					for _, half := range []bool{false, true} {
						t.Run(fmt.Sprintf("%+v/%d_%d_%d/%s/%v", c.a, c.queries, c.prefix, c.segment, name, half), func(t *testing.T) {
							checkAttend(t, rng, c, mask, half)
						})
					}
				}
			}
		}
	})
}

func checkAttend(t *testing.T, rng *rand.Rand, c attentionCase, mask Mask, half bool) {
	a, batch, prefix := c.a, c.a.batch(), max(0, c.prefix)
	q := roomy(rng, batch*c.queries, a.Heads*a.HeadSize)
	k := roomy(rng, batch*(prefix+c.segment), a.KVHeads*a.HeadSize)
	v := roomy(rng, k.Rows, k.Cols)
	want := referenceAttention(a, q, k, v, mask, prefix)

	// part returns the rows of one segment.
	part := func(m Matrix, from, length int) Matrix {
		p := NewMatrix(batch*length, m.Cols)
		for b := range batch {
			for i := range length {
				copy(p.Row(b*length+i), m.Row(b*(prefix+c.segment)+from+i))
			}
		}
		return p
	}
	var first, second KeyValues
	segments := []*KeyValues{&first, &second}
	out := roomy(rng, q.Rows, q.Cols)
	poisonNaN(out.Data)
	var got func(r, j int) float64
	tolerance := 2e-5
	if half {
		PackKeyValues(&first, a, halved(part(k, 0, prefix)), halved(part(v, 0, prefix)))
		PackKeyValues(&second, a, halved(part(k, prefix, c.segment)), halved(part(v, prefix, c.segment)))
	} else {
		PackKeyValues(&first, a, part(k, 0, prefix), part(v, 0, prefix))
		PackKeyValues(&second, a, part(k, prefix, c.segment), part(v, prefix, c.segment))
	}
	if c.prefix < 0 {
		segments = segments[1:]
	}
	if half {
		out := halved(out)
		Attend(a, out, halved(q), mask, segments...)
		got = func(r, j int) float64 { return float64(math.Float32frombits(uint32(out.Row(r)[j]) << 16)) }
		tolerance = 1. / 128
	} else {
		Attend(a, out, q, mask, segments...)
		got = func(r, j int) float64 { return float64(out.Row(r)[j]) }
		for r := range out.Rows {
			for j := r*out.Stride + out.Cols; j < min(len(out.Data), (r+1)*out.Stride); j++ {
				if !math.IsNaN(float64(out.Data[j])) {
					t.Fatalf("wrote beyond row %d", r)
				}
			}
		}
	}
	if a.BF16 && HaveBF16() { // the weights are rounded
		tolerance = 1. / 64
	}
	for r, row := range want {
		for j, x := range row {
			if g := got(r, j); !(math.Abs(g-x) <= tolerance*max(1, math.Abs(x))) {
				t.Fatalf("out[%d][%d] = %v, want %v", r, j, g, x)
			}
		}
	}
}

// FuzzAttend tries shapes: what is not refused must be right, whatever lies where.
func FuzzAttend(f *testing.F) {
	f.Add(uint8(2), uint8(1), uint8(63), uint8(1), uint8(50), uint8(113), uint8(50), uint8(0))
	f.Add(uint8(0), uint8(2), uint8(31), uint8(2), uint8(33), uint8(0), uint8(64), uint8(7))
	f.Fuzz(func(t *testing.T, kvHeads, group, size, batch, queries, prefix, keys, form uint8) {
		a := Attention{KVHeads: 1 + int(kvHeads)%3, HeadSize: 1 + int(size)%80, Batch: int(batch) % 3, BF16: form&1 > 0}
		a.Heads = a.KVHeads * (1 + int(group)%3)
		c := attentionCase{a: a, queries: int(queries) % 70, prefix: int(prefix)%100 - 1, segment: int(keys) % 100}
		rng := rand.New(rand.NewPCG(uint64(form), uint64(keys)))
		if form&2 > 0 {
			c.segment = c.queries
		}
		for _, mask := range masks(rng, a, c.queries, max(0, c.prefix)+c.segment, c.segment) {
			checkAttend(t, rng, c, mask, form&4 > 0)
		}
	})
}

// attentionOf returns something to attend with: two segments, a mask, both types.
func attentionOf(rng *rand.Rand, bf16 bool) (a Attention, out, q, k, v Matrix, mask Mask) {
	a = Attention{Heads: 6, KVHeads: 2, HeadSize: 64, BF16: bf16}
	q, k, v = roomy(rng, 100, a.Heads*a.HeadSize), roomy(rng, 100, a.KVHeads*a.HeadSize), roomy(rng, 100, a.KVHeads*a.HeadSize)
	mask = Mask{Causal: true, Keys: make([]bool, 2*k.Rows)}
	for i := range mask.Keys {
		mask.Keys[i] = i%3 > 0
	}
	return a, NewMatrix(q.Rows, q.Cols), q, k, v, mask
}

func TestAttentionAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	needPools(t)
	eachPath(t, func(t *testing.T) {
		if active == Generic {
			t.Skip("gonum's product allocates")
		}
		for _, bf16 := range []bool{false, true} {
			a, out, q, k, v, mask := attentionOf(rand.New(rand.NewPCG(1, 2)), bf16)
			q16, k16, out16 := halved(q), halved(k), halved(out)
			var prefix, suffix KeyValues
			PackKeyValues(&prefix, a, k, v)
			training := AttentionTraining{Attention: a, Mask: Mask{Causal: true, Keys: mask.Keys[:k.Rows]}}
			for name, f := range map[string]func(){
				"float32": func() {
					PackKeyValues(&suffix, a, k, v)
					Attend(a, out, q, mask, &prefix, &suffix)
				},
				"bf16": func() {
					PackKeyValues(&suffix, a, k16, k16)
					Attend(a, out16, q16, mask, &prefix, &suffix)
				},
				"training": func() {
					training.Forward(out, q, k, v)
					training.Backward(out, k, v, q, q, k, v)
				},
			} {
				f()
				if n := testing.AllocsPerRun(50, f); n >= 1 { // a collection may empty the pools
					t.Errorf("bf16 %v, %s: %v allocations", bf16, name, n)
				}
			}
		}
	})
}

// TestAttentionIsDeterministic checks that the number of threads changes no bit.
func TestAttentionIsDeterministic(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	eachPath(t, func(t *testing.T) {
		for _, bf16 := range []bool{false, true} {
			var first []float32
			for _, threads := range []int{1, 4, 2, 1} {
				SetThreads(threads)
				a, out, q, k, v, mask := attentionOf(rand.New(rand.NewPCG(3, 4)), bf16)
				var prefix, suffix KeyValues
				PackKeyValues(&prefix, a, k, v)
				PackKeyValues(&suffix, a, v, k)
				Attend(a, out, q, mask, &prefix, &suffix)
				training := AttentionTraining{Attention: a, Mask: Mask{Causal: true}}
				dq, dk, dv := NewMatrix(q.Rows, q.Cols), NewMatrix(k.Rows, k.Cols), NewMatrix(k.Rows, k.Cols)
				y := NewMatrix(q.Rows, q.Cols)
				training.Forward(y, q, k, v)
				training.Backward(dq, dk, dv, q, q, k, v)
				all := slices.Concat(out.Data, y.Data, dq.Data, dk.Data, dv.Data)
				if first == nil {
					first = all
				} else if !slices.Equal(all, first) {
					t.Errorf("bf16 %v: the result with %d threads differs", bf16, threads)
				}
			}
		}
	})
}

// TestAttentionKeepsNaN checks that a broken input is not hidden.
func TestAttentionKeepsNaN(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for _, bf16 := range []bool{false, true} {
			for broken := range 3 {
				a, out, q, k, v, _ := attentionOf(rand.New(rand.NewPCG(5, 6)), bf16)
				[]Matrix{q, k, v}[broken].Row(7)[3] = float32(math.NaN())
				var kv KeyValues
				PackKeyValues(&kv, a, k, v)
				Attend(a, out, q, Mask{}, &kv)
				if !math.IsNaN(float64(out.Row(7)[3])) {
					t.Errorf("bf16 %v: NaN in %s gives %v", bf16, []string{"q", "k", "v"}[broken], out.Row(7)[3])
				}
			}
		}
	})
}

func TestAttentionRefuses(t *testing.T) {
	a := Attention{Heads: 4, KVHeads: 2, HeadSize: 8}
	q, k := NewMatrix(3, 32), NewMatrix(5, 16)
	var kv KeyValues
	PackKeyValues(&kv, a, k, k)
	training := AttentionTraining{Attention: a}
	training.Forward(NewMatrix(3, 32), q, k, k)
	for name, f := range map[string]func(){
		"grouping":     func() { PackKeyValues(new(KeyValues), Attention{Heads: 3, KVHeads: 2, HeadSize: 8}, k, k) },
		"no size":      func() { PackKeyValues(new(KeyValues), Attention{Heads: 2, KVHeads: 2}, k, k) },
		"key width":    func() { PackKeyValues(new(KeyValues), a, q, q) },
		"values":       func() { PackKeyValues(new(KeyValues), a, k, NewMatrix(4, 16)) },
		"batch":        func() { PackKeyValues(new(KeyValues), Attention{Heads: 4, KVHeads: 2, HeadSize: 8, Batch: 2}, k, k) },
		"query width":  func() { Attend(a, k, k, Mask{}, &kv) },
		"out":          func() { Attend(a, NewMatrix(2, 32), q, Mask{}, &kv) },
		"memory":       func() { Attend(a, Matrix{Rows: 3, Cols: 32, Stride: 32, Data: make([]float32, 95)}, q, Mask{}, &kv) },
		"no segment":   func() { Attend(a, q, q, Mask{}) },
		"never packed": func() { Attend(a, q, q, Mask{}, new(KeyValues)) },
		"causal":       func() { Attend(a, NewMatrix(3, 32), q, Mask{Causal: true}, &kv) },
		"keys":         func() { Attend(a, NewMatrix(3, 32), q, Mask{Keys: make([]bool, 4)}, &kv) },
		"pairs":        func() { Attend(a, NewMatrix(3, 32), q, Mask{Pairs: make([]bool, 14)}, &kv) },
		"bias":         func() { Attend(a, NewMatrix(3, 32), q, Mask{Bias: NewMatrix(5, 3)}, &kv) },
		"gradient":     func() { training.Backward(NewMatrix(3, 32), NewMatrix(5, 16), NewMatrix(4, 16), q, q, k, k) },
		"not Forward's": func() {
			training.Backward(NewMatrix(2, 32), NewMatrix(5, 16), NewMatrix(5, 16), NewMatrix(2, 32), NewMatrix(2, 32), k, k)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if message, ok := recover().(string); !ok || !strings.HasPrefix(message, "compute: ") {
					t.Errorf("not refused with a message of its own: %v", message)
				}
			}()
			f()
		})
	}
}

func BenchmarkAttend(b *testing.B) {
	for _, s := range []struct {
		name            string
		queries         int
		prefix, segment int
		heads, kvHeads  int
		mask            string
		packs           bool
	}{
		{"vision", 1024, 0, 1024, 12, 12, "", true},
		{"prefix", 180, 0, 180, 15, 5, "bias", true},
		{"denoiseSelf", 50, 180, 50, 15, 5, "causal", true},
		{"denoiseCross", 50, 0, 180, 15, 5, "", false},
	} {
		for _, bf16 := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/bf16=%v", s.name, bf16), func(b *testing.B) {
				a := Attention{Heads: s.heads, KVHeads: s.kvHeads, HeadSize: 64, BF16: bf16}
				rng := rand.New(rand.NewPCG(1, 1))
				dense := func(rows, cols int) Matrix {
					m := roomy(rng, rows, cols)
					for i, v := range m.Data {
						if v != v {
							m.Data[i] = 0
						}
					}
					return m
				}
				q, k, v := dense(s.queries, s.heads*64), dense(s.segment, s.kvHeads*64), dense(s.segment, s.kvHeads*64)
				out := NewMatrix(q.Rows, q.Cols)
				var first, second KeyValues
				segments := []*KeyValues{&first, &second}
				if s.prefix == 0 {
					segments = segments[1:]
				} else {
					p := dense(s.prefix, s.kvHeads*64)
					PackKeyValues(&first, a, p, p)
				}
				mask := Mask{Causal: s.mask == "causal"}
				if s.mask == "bias" {
					mask.Bias = NewMatrix(s.queries, s.segment)
				}
				PackKeyValues(&second, a, k, v)
				q16, k16, v16, out16 := halved(q), halved(k), halved(v), halved(out)
				for b.Loop() {
					if bf16 {
						if s.packs {
							PackKeyValues(&second, a, k16, v16)
						}
						Attend(a, out16, q16, mask, segments...)
					} else {
						if s.packs {
							PackKeyValues(&second, a, k, v)
						}
						Attend(a, out, q, mask, segments...)
					}
				}
				work := 4 * float64(s.queries*(s.prefix+s.segment)*s.heads*64)
				b.ReportMetric(work*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N), "ms/op")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
