//go:build !linux

package recording

import "errors"

// exchangeNames would swap two folders in one step.
func exchangeNames(_, _ string) error { return errors.ErrUnsupported }
