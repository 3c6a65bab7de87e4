package policy

import "embed"

// embedded holds the policies that come with the binary, trained by `vla train`; see
// docs/models.md for the commands.
//
//go:embed all:embedded
var embedded embed.FS

// Names returns the names of the embedded policies.
func Names() []string {
	entries, err := embedded.ReadDir("embedded")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
