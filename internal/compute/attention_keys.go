package compute

import "fmt"

// KeyValues is one segment of keys and values, laid out for the products of Attend. A
// segment that does not change, a prefix that many steps attend to, is packed once. The
// zero value is ready to be packed; packing again reuses the memory. It must not be packed
// while an Attend reads it, and one that was packed under other kernels (Use) must be
// packed again.
//
// The layouts, for each sequence and head one after the other (d is HeadSize):
//   - float32 panels: keys as panels [d][32 keys], values as panels [keys][32 columns];
//   - bf16 tiles: the same with each 32 of the depth as two tiles, as the AMX product wants B;
//   - plain: keys and values [keys][d].
//
// The last panel is filled up with zeros.
type KeyValues struct {
	shape  Attention
	layout layout
	length int // keys of a sequence

	keys, values         []float32
	keysBF16, valuesBF16 []BF16
	keySize, valueSize   int // numbers of one head

	keyMemory, valueMemory         []float32
	keyMemoryBF16, valueMemoryBF16 []BF16

	keySource, valueSource source
	task                   func(int)
}

type layout int

const (
	plainKeys layout = iota
	floatPanels
	bf16Tiles
)

const lineFloats = 16 // in a cache line

// layout is the one that the kernels in use want.
func (a Attention) layout() layout {
	switch {
	case a.BF16 && HaveBF16():
		return bf16Tiles
	case tiles() != nil:
		return floatPanels
	default:
		return plainKeys
	}
}

// Len returns the number of keys in each sequence.
func (kv *KeyValues) Len() int { return kv.length }

// PackKeyValues lays out keys and values, both [a.Batch·keys][a.KVHeads·a.HeadSize], for
// Attend with the same a (Heads and Scale may differ), and keeps no reference to them.
func PackKeyValues[T float32 | BF16](kv *KeyValues, a Attention, keys, values Mat[T]) {
	kv.pack(a, sourceOf(keys), sourceOf(values))
}

func (kv *KeyValues) pack(a Attention, keys, values source) {
	a.check()
	rows, cols := keys.check("keys")
	if valueRows, valueCols := values.check("values"); valueRows != rows || valueCols != cols || cols != a.KVHeads*a.HeadSize || rows%a.batch() != 0 {
		panic(fmt.Sprintf("compute: keys [%d][%d] and values [%d][%d] of %d heads of %d over %d sequences",
			rows, cols, valueRows, valueCols, a.KVHeads, a.HeadSize, a.batch()))
	}
	kv.shape, kv.layout, kv.length = a, a.layout(), rows/a.batch()
	heads := a.batch() * a.KVHeads
	switch kv.layout {
	case bf16Tiles:
		kv.keySize = tileSize(kv.length, a.HeadSize)
		kv.valueSize = tileSize(a.HeadSize, kv.length)
		kv.keysBF16 = grow(&kv.keyMemoryBF16, heads*kv.keySize)
		kv.valuesBF16 = grow(&kv.valueMemoryBF16, heads*kv.valueSize)
	case floatPanels:
		kv.keySize = padded(kv.length) * a.HeadSize
		kv.valueSize = padded(a.HeadSize) * kv.length
		kv.keys = grow(&kv.keyMemory, heads*kv.keySize)
		kv.values = grow(&kv.valueMemory, heads*kv.valueSize)
	default:
		kv.keySize = kv.length * a.HeadSize
		kv.valueSize = kv.keySize
		kv.keys = grow(&kv.keyMemory, heads*kv.keySize)
		kv.values = grow(&kv.valueMemory, heads*kv.valueSize)
	}
	if kv.task == nil {
		kv.task = kv.packHead
	}
	kv.keySource, kv.valueSource = keys, values
	const parallelFrom = 1 << 15 // numbers; fewer are packed before anyone is awake
	if rows*cols < parallelFrom {
		serial(heads, kv.task)
	} else {
		Parallel(heads, kv.task)
	}
	kv.keySource, kv.valueSource = source{}, source{}
}

func (kv *KeyValues) packHead(i int) {
	if kv.length == 0 {
		return
	}
	w := attentionBlocks.Get().(*attentionBlock)
	defer attentionBlocks.Put(w)
	size := kv.shape.HeadSize
	row, column := i/kv.shape.KVHeads*kv.length, i%kv.shape.KVHeads*size
	keys := kv.keySource.rows(row, kv.length, column, size, &w.scoreMemory)
	values := kv.valueSource.rows(row, kv.length, column, size, &w.wideMemory)
	switch kv.layout {
	case bf16Tiles:
		packTiles(kv.keysBF16[i*kv.keySize:], wholeTiles(keys, &w.sumMemory), false, true)
		packTiles(kv.valuesBF16[i*kv.valueSize:], wholeTiles(values, &w.sumMemory), true, true)
	case floatPanels:
		packPanels(kv.keys[i*kv.keySize:], keys, true)
		packPanels(kv.values[i*kv.valueSize:], values, false)
	default:
		for j := range kv.length {
			copy(kv.keys[i*kv.keySize+j*size:], keys.Row(j))
			copy(kv.values[i*kv.valueSize+j*size:], values.Row(j))
		}
	}
}

// fits panics where kv was not packed for a.
func (kv *KeyValues) fits(a Attention) {
	s := kv.shape
	if s.KVHeads != a.KVHeads || s.HeadSize != a.HeadSize || s.batch() != a.batch() || kv.layout != a.layout() {
		panic(fmt.Sprintf("compute: keys and values packed for %d heads of %d over %d sequences (bf16 %v), attention has %d, %d, %d (%v)",
			s.KVHeads, s.HeadSize, s.batch(), s.BF16, a.KVHeads, a.HeadSize, a.batch(), a.BF16))
	}
}
