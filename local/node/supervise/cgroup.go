package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	// inNamespace marks the environment of the supervisor that has its cgroup namespace.
	inNamespace = "HOLDFAST_NODE_CGROUP_NAMESPACE"
)

// enterCgroupNamespace starts this program again in a cgroup namespace of its own.
//
// Docker gives a container either such a namespace or the host's, and testcontainers binds the host's whole hierarchy
// to /sys/fs/cgroup. There the kubelet of one node would tidy up the pods of another one. With a namespace of its own
// the node always sees its container's cgroup as the root, whatever the caller chose.
func enterCgroupNamespace() error {
	if os.Getenv(inNamespace) != "" {
		return os.Unsetenv(inNamespace)
	}
	// A namespace belongs to a thread: this one becomes the new program's first.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a cgroup namespace (does the container have CAP_SYS_ADMIN?): %w", err)
	}
	err := unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), inNamespace+"=1"))
	return fmt.Errorf("start again in the cgroup namespace: %w", err)
}

// hierarchy is a tree of cgroups that this process is in: its controllers, none for version 2.
type hierarchy struct{ controllers string }

// parseHierarchies reads /proc/self/cgroup. The unified tree is left out where version 1 has the controllers.
func parseHierarchies(procCgroup string) (v1 []hierarchy, unified bool) {
	for line := range strings.Lines(procCgroup) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && fields[1] != "" {
			v1 = append(v1, hierarchy{fields[1]})
		}
	}
	return v1, len(v1) == 0
}

// folder is the name that the hierarchy is mounted by, and options what mount needs to know.
func (h hierarchy) folder() string { return strings.TrimPrefix(h.controllers, "name=") }

func (h hierarchy) options() string {
	if strings.HasPrefix(h.controllers, "name=") {
		return "none," + h.controllers
	}
	return h.controllers
}

// mountCgroups mounts the namespace's view, writable, over whatever Docker mounted.
func mountCgroups() error {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return fmt.Errorf("find this machine's cgroups: %w", err)
	}
	hierarchies, unified := parseHierarchies(string(own))
	if unified {
		return mountUnified()
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("tmpfs", cgroupRoot, "tmpfs", flags, "mode=755,size=64k"); err != nil {
		return fmt.Errorf("mount over %s: %w", cgroupRoot, err)
	}
	for _, h := range hierarchies {
		path := filepath.Join(cgroupRoot, h.folder())
		if err := os.Mkdir(path, 0o755); err != nil {
			return fmt.Errorf("make a mount point for cgroups: %w", err)
		}
		if err := unix.Mount("cgroup", path, "cgroup", flags, h.options()); err != nil {
			return fmt.Errorf("mount the cgroup controllers %s: %w", h.controllers, err)
		}
		if err := linkControllers(h.folder()); err != nil {
			return err
		}
	}
	return nil
}

// linkControllers gives each of the controllers that are mounted together, as cpu,cpuacct, its own name.
func linkControllers(folder string) error {
	names := strings.Split(folder, ",")
	if len(names) == 1 {
		return nil
	}
	for _, name := range names {
		if err := os.Symlink(folder, filepath.Join(cgroupRoot, name)); err != nil {
			return fmt.Errorf("name the cgroup controller %s: %w", name, err)
		}
	}
	return nil
}

// mountUnified mounts version 2 and hands every controller down to the pods. Version 2 does that only for a cgroup
// without processes, so all of them move from the root to a child.
func mountUnified() error {
	if err := unix.Mount("cgroup2", cgroupRoot, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount cgroup version 2: %w", err)
	}
	child := filepath.Join(cgroupRoot, "init")
	if err := os.MkdirAll(child, 0o755); err != nil {
		return fmt.Errorf("make the cgroup for the node's own processes: %w", err)
	}
	if err := moveProcesses(cgroupRoot, child); err != nil {
		return err
	}
	available, err := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("list the cgroup controllers: %w", err)
	}
	for _, controller := range strings.Fields(string(available)) {
		if err := writeCgroup(filepath.Join(cgroupRoot, "cgroup.subtree_control"), "+"+controller); err != nil {
			// The kubelet says itself if it is one that it cannot do without.
			say("the cgroup controller %s cannot be handed down to pods: %v", controller, err)
		}
	}
	return nil
}

func moveProcesses(from, to string) error {
	// A process may start another one meanwhile: repeat until the root is empty.
	for range 100 {
		pids, err := processesOf(from)
		if err != nil {
			return err
		}
		// 0 stands for a process of the machine: one that Docker is about to move itself.
		pids = slices.DeleteFunc(pids, func(pid string) bool { return pid == "0" })
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			err := writeCgroup(filepath.Join(to, "cgroup.procs"), pid)
			if err != nil && !errors.Is(err, unix.ESRCH) { // ESRCH: it has ended meanwhile
				return fmt.Errorf("move process %s to %s: %w", pid, to, err)
			}
		}
	}
	return fmt.Errorf("processes keep coming to the cgroup %s", from)
}

// processesOf lists the processes of one cgroup, without those of its children.
func processesOf(path string) ([]string, error) {
	list, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	if err != nil {
		return nil, fmt.Errorf("list the processes of a cgroup: %w", err)
	}
	return strings.Fields(string(list)), nil
}

// writeCgroup writes a value into one of the kernel's files, which must neither be made nor replaced.
func writeCgroup(path, value string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(value)
	return errors.Join(err, file.Close())
}
