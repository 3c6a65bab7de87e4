// Command groupnorm writes the kernels of group normalisation on images with the channels
// last, and the sum of such images: groupnorm_amd64.s and their Go declarations.
package main

import (
	"fmt"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	for _, f := range []*family{{suffix: "AVX512", lanes: 16}, {suffix: "AVX2", lanes: 8}} {
		f.kernel("sumMoments", "sum = Σ(x-pivot), square = Σ(x-pivot)², over the rows", []string{"x"}, "", []string{"pivot"}, []string{"sum", "square"},
			func(pixel, channel, sums []reg.VecVirtual) reg.VecVirtual {
				VSUBPS(channel[0], pixel[0], pixel[0])
				VADDPS(pixel[0], sums[0], sums[0])
				VFMADD231PS(pixel[0], pixel[0], sums[1])
				return nil
			})
		f.kernel("scaleShift", "y = (x-centre)·factor + shift", []string{"x"}, "y", []string{"centre", "factor", "shift"}, nil,
			func(pixel, channel, _ []reg.VecVirtual) reg.VecVirtual {
				VSUBPS(channel[0], pixel[0], pixel[0])
				VFMADD213PS(channel[2], channel[1], pixel[0])
				return pixel[0]
			})
		f.kernel("sumDots", "sum = Σd, product = Σd·(x-centre), over the rows", []string{"d", "x"}, "", []string{"centre"}, []string{"sum", "product"},
			func(pixel, channel, sums []reg.VecVirtual) reg.VecVirtual {
				VADDPS(pixel[0], sums[0], sums[0])
				VSUBPS(channel[0], pixel[1], pixel[1])
				VFMADD231PS(pixel[0], pixel[1], sums[1])
				return nil
			})
		f.kernel("combineGradients", "y = d·factor + (x-centre)·slope + offset", []string{"d", "x"}, "y", []string{"factor", "slope", "centre", "offset"}, nil,
			func(pixel, channel, _ []reg.VecVirtual) reg.VecVirtual {
				VSUBPS(channel[2], pixel[1], pixel[1])
				VFMADD213PS(channel[3], channel[1], pixel[1])
				VFMADD231PS(channel[0], pixel[0], pixel[1])
				return pixel[1]
			})
		f.kernel("addRows", "y += x", []string{"x", "y"}, "y", nil, nil,
			func(pixel, _, _ []reg.VecVirtual) reg.VecVirtual {
				VADDPS(pixel[1], pixel[0], pixel[0])
				return pixel[0]
			})
	}
	Generate()
}

// family is a vector width.
type family struct {
	suffix string
	lanes  int
}

func (f *family) register() reg.VecVirtual {
	if f.lanes == 16 {
		return ZMM()
	}
	return YMM()
}

// kernel writes a function that goes over matrices [rows][cols] whose rows are ld bytes
// apart. inputs are read and output, if any, is written, pixel by pixel; channels have one
// number for each column, and sums receive one.
//
// Register plan: a column of vectors at a time, from the first row to the last, so that
// what belongs to the channels stays in registers: one for each of channels, sums and
// inputs. Only the last column may be narrower than a vector; its loop is masked.
func (f *family) kernel(name, doc string, inputs []string, output string, channels, sums []string, body func(pixel, channel, sum []reg.VecVirtual) reg.VecVirtual) {
	images := slices.Clone(inputs)
	if output != "" && !slices.Contains(inputs, output) {
		images = append(images, output)
	}
	signature := "func(rows, cols int"
	for _, p := range images {
		signature += fmt.Sprintf(", %s *float32, ld%s int", p, p)
	}
	for _, p := range slices.Concat(channels, sums) {
		signature += fmt.Sprintf(", %s *float32", p)
	}
	name += f.suffix
	TEXT(name, NOSPLIT, signature+")")
	Doc(fmt.Sprintf("%s computes %s; x, d and y have rows ld bytes apart.", name, doc))
	Pragma("noescape")
	left := Load(Param("cols"), GP64()) // columns
	offset := GP64()                    // of the column, in bytes
	XORQ(offset, offset)

	column := func(name string, m mask) {
		channel, sum := make([]reg.VecVirtual, len(channels)), make([]reg.VecVirtual, len(sums))
		for i, p := range channels {
			pointer := Load(Param(p), GP64())
			channel[i] = f.register()
			m.load(operand.Mem{Base: pointer, Index: offset, Scale: 1}, channel[i])
		}
		for i := range sums {
			sum[i] = f.register()
			VXORPS(sum[i], sum[i], sum[i])
		}
		pointers, strides := make([]reg.GPVirtual, len(images)), make([]reg.Register, len(images))
		for i, p := range images {
			pointers[i], strides[i] = GP64(), Load(Param("ld"+p), GP64())
			Load(Param(p), pointers[i])
			ADDQ(offset, pointers[i])
		}
		row := Load(Param("rows"), GP64())
		Label(name)
		pixel := make([]reg.VecVirtual, len(inputs))
		for i := range inputs {
			pixel[i] = f.register()
			m.load(operand.Mem{Base: pointers[i]}, pixel[i])
		}
		if result := body(pixel, channel, sum); result != nil {
			m.store(result, operand.Mem{Base: pointers[slices.Index(images, output)]})
		}
		for i := range images {
			ADDQ(strides[i], pointers[i])
		}
		DECQ(row)
		JNZ(operand.LabelRef(name))
		for i, p := range sums {
			pointer := Load(Param(p), GP64())
			m.store(sum[i], operand.Mem{Base: pointer, Index: offset, Scale: 1})
		}
	}

	SUBQ(operand.Imm(uint64(f.lanes)), left)
	JLT(operand.LabelRef("tail"))
	Label("column")
	column("row", mask{})
	ADDQ(operand.Imm(uint64(4*f.lanes)), offset)
	SUBQ(operand.Imm(uint64(f.lanes)), left)
	JGE(operand.LabelRef("column"))
	Label("tail")
	ADDQ(operand.Imm(uint64(f.lanes)), left)
	JLE(operand.LabelRef("done"))
	column("tailRow", f.firstLanes(left))
	Label("done")
	VZEROUPPER()
	RET()
}

// mask limits loads and stores to the first lanes; the zero mask does not.
type mask struct {
	k reg.OpmaskVirtual // AVX-512
	v reg.VecVirtual    // AVX2
}

// firstLanes returns the mask of n lanes, fewer than a vector has.
func (f *family) firstLanes(n reg.Register) mask {
	if f.lanes == 16 {
		ones, k := GP64(), K()
		MOVQ(operand.U32(0xffff), ones)
		BZHIQ(n, ones, ones)
		KMOVW(ones.As32(), k)
		return mask{k: k}
	}
	count, v := YMM(), YMM()
	VMOVQ(n, count.AsX())
	VPBROADCASTD(count.AsX(), count)
	VPCMPGTD(numbers(), count, v)
	return mask{v: v}
}

var lanes operand.Mem

// numbers returns the place where 0 to 7 stand.
func numbers() operand.Mem {
	if lanes.Base == nil {
		lanes = GLOBL("groupNormLanes", RODATA|NOPTR)
		for i := range 8 {
			DATA(4*i, operand.U32(i))
		}
	}
	return lanes
}

func (m mask) load(from operand.Mem, to reg.VecVirtual) {
	switch {
	case m.k != nil:
		VMOVUPS_Z(from, m.k, to)
	case m.v != nil:
		VMASKMOVPS(from, m.v, to)
	default:
		VMOVUPS(from, to)
	}
}

func (m mask) store(from reg.VecVirtual, to operand.Mem) {
	switch {
	case m.k != nil:
		VMOVUPS(from, m.k, to)
	case m.v != nil:
		VMASKMOVPS(from, m.v, to)
	default:
		VMOVUPS(from, to)
	}
}
