package main

// #cgo LDFLAGS: -lopenblas
// void openblas_set_num_threads(int);
import "C"

// setOpenBLASThreads limits OpenBLAS in this process.
func setOpenBLASThreads(n int) { C.openblas_set_num_threads(C.int(n)) }
