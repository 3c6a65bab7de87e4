//go:build !amd64

package compute

// The portable loops serve, and nothing here is ever called.

func sumMomentsAVX512(rows int, cols int, x *float32, ldx int, pivot *float32, sum *float32, square *float32) {
	panic("compute: no vector kernels")
}
func scaleShiftAVX512(rows int, cols int, x *float32, ldx int, y *float32, ldy int, centre *float32, factor *float32, shift *float32) {
	panic("compute: no vector kernels")
}
func sumDotsAVX512(rows int, cols int, d *float32, ldd int, x *float32, ldx int, centre *float32, sum *float32, product *float32) {
	panic("compute: no vector kernels")
}
func combineGradientsAVX512(rows int, cols int, d *float32, ldd int, x *float32, ldx int, y *float32, ldy int, factor *float32, slope *float32, centre *float32, offset *float32) {
	panic("compute: no vector kernels")
}
func addRowsAVX512(rows int, cols int, x *float32, ldx int, y *float32, ldy int) {
	panic("compute: no vector kernels")
}
func sumMomentsAVX2(rows int, cols int, x *float32, ldx int, pivot *float32, sum *float32, square *float32) {
	panic("compute: no vector kernels")
}
func scaleShiftAVX2(rows int, cols int, x *float32, ldx int, y *float32, ldy int, centre *float32, factor *float32, shift *float32) {
	panic("compute: no vector kernels")
}
func sumDotsAVX2(rows int, cols int, d *float32, ldd int, x *float32, ldx int, centre *float32, sum *float32, product *float32) {
	panic("compute: no vector kernels")
}
func combineGradientsAVX2(rows int, cols int, d *float32, ldd int, x *float32, ldx int, y *float32, ldy int, factor *float32, slope *float32, centre *float32, offset *float32) {
	panic("compute: no vector kernels")
}
func addRowsAVX2(rows int, cols int, x *float32, ldx int, y *float32, ldy int) {
	panic("compute: no vector kernels")
}
