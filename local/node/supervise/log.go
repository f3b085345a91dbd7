package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// say prints one of the node's own lines. They go to standard output, where `docker logs` and testcontainers read.
func say(format string, values ...any) {
	fmt.Printf("%s node: %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), fmt.Sprintf(format, values...))
}

// maxLogSize bounds a component's log; one older file of the same size is kept beside it.
const maxLogSize = 10 << 20

// logFile is a component's log. The components write through the supervisor, so that a log can be rotated without
// their help.
type logFile struct {
	mutex sync.Mutex
	path  string
	file  *os.File
	size  int64
}

// openLog begins a new log. The log of the run before is kept as `.1`, since it says why that run ended.
func openLog(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the log's folder: %w", err)
	}
	l := &logFile{path: path}
	return l, l.rotate()
}

func (l *logFile) rotate() error {
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			return fmt.Errorf("close the log %s: %w", l.path, err)
		}
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("put the old log aside: %w", err)
	}
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("begin the log: %w", err)
	}
	l.file, l.size = file, 0
	return nil
}

// Write never fails: a component whose log cannot be written (a full disk) should go on, not die of a closed pipe.
func (l *logFile) Write(data []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.size+int64(len(data)) > maxLogSize {
		if err := l.rotate(); err != nil {
			say("%v", err)
		}
	}
	n, err := l.file.Write(data)
	l.size += int64(n)
	if err != nil {
		say("a part of the log %s is lost: %v", l.path, err)
	}
	return len(data), nil
}

// lastLines reads the end of a file.
func lastLines(path string, count int) ([]string, error) {
	const window = 64 << 10
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	tail, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-window), window))
	if err != nil {
		return nil, err
	}
	lines := bytes.Split(bytes.TrimRight(tail, "\n"), []byte("\n"))
	var last []string
	for _, line := range lines[max(0, len(lines)-count):] {
		last = append(last, string(line))
	}
	return last, nil
}
