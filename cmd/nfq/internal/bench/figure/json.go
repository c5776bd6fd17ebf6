// SPDX-License-Identifier: GPL-2.0-or-later

package figure

import (
	"encoding/json"
	"os"
)

// WriteJSON writes everything that was measured to a file.
func (r *Results) WriteJSON(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
