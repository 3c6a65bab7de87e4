package render

import "math"

// grain is a texture like wood, with values from 0 to 1, that repeats after 1 in both
// directions; the fibres run along u. It is kept at halved sizes too (a mip map: Williams,
// Pyramidal Parametrics, 1983) so that it can be seen from afar without flicker.
type grain struct {
	// Level i has grainSize>>i rows and columns. An entry holds the four texels that a
	// point past it lies between: its own in the lowest byte, then the one to the right,
	// the one below and the one below that to the right.
	levels [grainLevels][]uint32
}

const (
	grainSize   = 256
	grainLevels = 9 // down to a single value
)

func newGrain() *grain {
	g := &grain{}
	finest := make([]uint8, grainSize*grainSize)
	for y := range grainSize {
		for x := range grainSize {
			u, v := float64(x)/grainSize, float64(y)/grainSize
			// Rings that wander, the fibres between, and fine streaks.
			bend := mul(1.6, lattice(u, v, 2, 3, 1)) + mul(0.5, lattice(u, v, 4, 9, 2))
			ring := mul(5, v) + bend
			ring -= math.Floor(ring)
			ring = 1 - math.Abs(mul(2, ring)-1)
			value := mul(0.50, mul(ring, ring)) + mul(0.28, lattice(u, v, 6, 40, 3)) + mul(0.22, lattice(u, v, 12, 110, 4))
			finest[y*grainSize+x] = uint8(mul(255, max(0, min(value, 1))) + 0.5)
		}
	}
	for i, texels := 0, finest; i < grainLevels; i++ {
		size := grainSize >> i
		texel := func(x, y int) uint32 { return uint32(texels[y%size*size+x%size]) }
		g.levels[i] = make([]uint32, size*size)
		for y := range size {
			for x := range size {
				g.levels[i][y*size+x] = texel(x, y) | texel(x+1, y)<<8 | texel(x, y+1)<<16 | texel(x+1, y+1)<<24
			}
		}
		halved := make([]uint8, size*size/4)
		for y := range size / 2 {
			for x := range size / 2 {
				sum := texel(2*x, 2*y) + texel(2*x+1, 2*y) + texel(2*x, 2*y+1) + texel(2*x+1, 2*y+1)
				halved[y*size/2+x] = uint8((sum + 2) / 4)
			}
		}
		texels = halved
	}
	return g
}

// lattice is smooth noise from 0 to 1 with that many cells a period in each direction.
func lattice(u, v float64, columns, rows int, seed uint32) float64 {
	x, y := mul(u, float64(columns)), mul(v, float64(rows))
	column, row := int(x), int(y)
	x, y = ease(x-float64(column)), ease(y-float64(row))
	corner := func(i, j int) float64 {
		h := uint32((column+i)%columns)*0x9e3779b1 ^ uint32((row+j)%rows)*0x85ebca6b ^ seed*0xc2b2ae35
		h = (h ^ h>>15) * 0x2c1b3c6d
		h = (h ^ h>>12) * 0x297a2d39
		return mul(float64((h^h>>15)>>8), 1.0/(1<<24))
	}
	upper := corner(0, 0) + mul(x, corner(1, 0)-corner(0, 0))
	lower := corner(0, 1) + mul(x, corner(1, 1)-corner(0, 1))
	return upper + mul(y, lower-upper)
}

func ease(x float64) float64 { return mul(mul(x, x), 3-mul(2, x)) }

// detail returns which level, in 1/256, shows the texture averaged over about that width, in
// 1/fixedOne of a texel.
func detail(width float64) int {
	if !(width > fixedOne) {
		return 0
	}
	// The binary logarithm is the exponent and, roughly, the mantissa after it.
	return min(int(math.Float64bits(width*(1.0/fixedOne))>>44)-1023<<8, (grainLevels-1)<<8)
}

// at returns the texture's value, from 0 to shareOne, around (u, v), in 1/fixedOne of a texel,
// at that detail. Only around the middle between two levels does it blend them.
func (g *grain) at(u, v uint32, detail int) int64 {
	level := detail >> 8
	switch part := uint32(2*(detail&255) - 128); {
	case int32(part) <= 0:
		return int64(g.level(level, u, v) >> 8)
	case part >= 256:
		return int64(g.level(level+1, u, v) >> 8)
	default:
		return int64((g.level(level, u, v)*(256-part) + g.level(level+1, u, v)*part) >> 16)
	}
}

// level returns 2¹⁶ times one level's value between the texels around (x, y).
func (g *grain) level(i int, x, y uint32) uint32 {
	x, y = x>>i, y>>i
	size := uint32(grainSize >> i)
	four := g.levels[i][(y>>16&(size-1))*size+x>>16&(size-1)]
	x, y = x>>8&255, y>>8&255 // 8 bits of fraction are left
	// Two columns at once: the upper value in the lower half, the lower one in the upper.
	both := four&0xff00ff*(256-x) + four>>8&0xff00ff*x
	return both&0xffff*(256-y) + both>>16*y
}
