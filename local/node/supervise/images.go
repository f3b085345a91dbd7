package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"holdfast.local/node/files"
	"holdfast.local/node/plan"
)

// fingerprint tells whether a tarball is the one that was imported.
type fingerprint struct {
	Size     int64 `json:"size"`
	Modified int64 `json:"modified"`
}

// importImages hands the folders' tarballs to containerd, but not those that it has from an earlier start.
//
// The record lies beside containerd's data, in the same volume: they are lost together.
func importImages(ctx context.Context, record string, folders ...string) error {
	imported, err := readRecord(record)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		tarballs, err := filepath.Glob(filepath.Join(folder, "*.tar"))
		if err != nil {
			return fmt.Errorf("list image tarballs: %w", err)
		}
		for _, tarball := range tarballs {
			info, err := os.Stat(tarball)
			if err != nil {
				return fmt.Errorf("read an image tarball: %w", err)
			}
			found := fingerprint{info.Size(), info.ModTime().UnixNano()}
			if imported[tarball] == found {
				continue
			}
			if err := run(ctx, "ctr", "--address", plan.ContainerdSocket, "--namespace", "k8s.io", "images", "import", tarball); err != nil {
				return fmt.Errorf("import images: %w", err)
			}
			say("imported %s", tarball)
			imported[tarball] = found
			if err := writeRecord(record, imported); err != nil {
				return err
			}
		}
	}
	return nil
}

func readRecord(path string) (map[string]fingerprint, error) {
	imported := map[string]fingerprint{}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return imported, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which images were imported: %w", err)
	}
	if err := json.Unmarshal(data, &imported); err != nil {
		return nil, fmt.Errorf("read which images were imported, %s: %w", path, err)
	}
	return imported, nil
}

func writeRecord(path string, imported map[string]fingerprint) error {
	data, err := json.Marshal(imported)
	if err != nil {
		return fmt.Errorf("record which images were imported: %w", err)
	}
	return files.Write(path, data, 0o644)
}
