package supervise

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopContainers asks the first process of every container to end, and kills what is left after the grace.
//
// containerd has no call that stops all of them at once; the kernel knows them all by the pods' cgroups.
func stopContainers(grace time.Duration) {
	pids, err := podProcesses(cgroupRoot)
	if err != nil {
		say("the pods are not stopped in order: %v", err)
		return
	}
	for _, pid := range pids {
		if startedByShim(pid) {
			signalPod(pid, syscall.SIGTERM)
		}
	}
	for deadline := time.Now().Add(grace); time.Now().Before(deadline); time.Sleep(pollEvery) {
		if pids, err = podProcesses(cgroupRoot); err != nil || len(pids) == 0 {
			return // an error: the last cgroups went away while they were read
		}
	}
	say("%d processes of pods did not end within %s and are killed", len(pids), grace)
	for _, pid := range pids {
		signalPod(pid, syscall.SIGKILL)
	}
}

// podProcesses lists the processes below the kubelet's cgroup, in version 1 by the hierarchy of one controller.
func podProcesses(root string) ([]int, error) {
	tree := filepath.Join(root, "kubepods")
	if _, err := os.Stat(tree); err != nil {
		tree = filepath.Join(root, "pids", "kubepods")
	}
	var pids []int
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // a pod that has just ended, or no pod yet
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		list, err := processesOf(path)
		if err != nil {
			return nil // as above
		}
		for _, text := range list {
			if pid, err := strconv.Atoi(text); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the processes of pods: %w", err)
	}
	return pids, nil
}

// startedByShim says whether a process is the first of its container, which is the one that knows how to stop it.
func startedByShim(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false // it has ended
	}
	for line := range strings.Lines(string(status)) {
		if parent, found := strings.CutPrefix(line, "PPid:"); found {
			name, err := os.ReadFile("/proc/" + strings.TrimSpace(parent) + "/comm")
			return err == nil && strings.HasPrefix(string(name), "containerd-shim")
		}
	}
	return false
}

func signalPod(pid int, signal syscall.Signal) {
	if err := syscall.Kill(pid, signal); err != nil && err != syscall.ESRCH {
		say("signal process %d of a pod: %v", pid, err)
	}
}
