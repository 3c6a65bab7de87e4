// Package safetensors reads and writes checkpoints in the safetensors format
// (https://github.com/huggingface/safetensors, section "Format"):
//
//	8 bytes    length N of the header, unsigned little-endian
//	N bytes    header: a JSON object {name: {"dtype", "shape", "data_offsets"}}, which
//	           begins with '{', may end with spaces, and may hold strings by name
//	           under "__metadata__"
//	the rest   the tensors' elements, row-major and little-endian, where data_offsets
//	           [begin, end] point; they cover all of it, without gap or overlap
//
// A file that breaks one of these rules is refused by an error that names the file and,
// where there is one, the tensor. Nothing that a file says is believed before it has been
// checked against the file's size, so a hostile header cannot cause a large allocation.
//
// # Memory
//
// Open maps the file into memory where the system can do so, and Parse takes bytes that
// are in memory already, as an embedded file's are. Either way a Tensor's Data is a view:
// it must not be written, and what Open mapped is gone after Close. Methods say whether
// the slice that they return is such a view or the caller's own.
package safetensors
