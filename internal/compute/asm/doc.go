// Package asm is a module of its own, so that the product does not depend on avo: its
// commands write the assembly of package compute.
package asm
