package supervise

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"holdfast.local/node/plan"
)

// process is a component that runs.
type process struct {
	component plan.Component
	command   *exec.Cmd
	logPath   string
	done      chan struct{} // closed when it has ended
	result    error         // how it ended; to be read after done
}

// processes are the components that run, and the news that one of them ended.
type processes struct {
	logs  string // the folder of their logs
	mutex sync.Mutex
	all   map[string]*process
	ended chan *process
}

func newProcesses(logs string) *processes {
	return &processes{logs: logs, all: map[string]*process{}, ended: make(chan *process, 16)}
}

// start runs a component, whose program is found by its name.
func (p *processes) start(component plan.Component) error {
	logPath := filepath.Join(p.logs, component.Name+".log")
	log, err := openLog(logPath)
	if err != nil {
		return fmt.Errorf("start %s: %w", component.Name, err)
	}
	command := exec.Command(component.Name, component.Args...)
	command.Stdout, command.Stderr = log, log
	// A group of its own: the signals of a terminal are for the supervisor, which stops the components in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// containerd's shims outlive it and may hold its output open.
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", component.Name, err)
	}
	started := &process{component: component, command: command, logPath: logPath, done: make(chan struct{})}
	p.mutex.Lock()
	p.all[component.Name] = started
	p.mutex.Unlock()
	go func() {
		started.result = command.Wait()
		close(started.done)
		p.ended <- started
	}()
	return nil
}

// startAll runs several components.
func (p *processes) startAll(components ...plan.Component) error {
	for _, component := range components {
		if err := p.start(component); err != nil {
			return err
		}
	}
	return nil
}

// stop ends the named components together: it asks, and after the grace it kills.
func (p *processes) stop(grace time.Duration, names ...string) {
	deadline := time.After(grace)
	stopping := p.signal(syscall.SIGTERM, names)
	for _, running := range stopping {
		select {
		case <-running.done:
			continue
		case <-deadline:
		}
		say("%s did not stop within %s and is killed", running.component.Name, grace)
		p.signal(syscall.SIGKILL, names)
		for _, killed := range stopping {
			<-killed.done
		}
		return
	}
}

// signal sends a signal to those of the named components that run, and returns them.
func (p *processes) signal(signal syscall.Signal, names []string) []*process {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var running []*process
	for _, name := range names {
		one, started := p.all[name]
		if !started {
			continue
		}
		if err := one.command.Process.Signal(signal); err == nil {
			running = append(running, one)
		} // else it has ended, which is what a signal of this program asks for
	}
	return running
}

// obituary tells how a component ended, with the end of its log.
func (p *process) obituary() string {
	text := fmt.Sprintf("%s ended by itself: %s", p.component.Name, exitText(p.result))
	lines, err := lastLines(p.logPath, 30)
	if err != nil {
		return fmt.Sprintf("%s; its log cannot be read: %v", text, err)
	}
	text += fmt.Sprintf("; the last %d lines of %s:", len(lines), p.logPath)
	for _, line := range lines {
		text += "\n  " + line
	}
	return text
}

func exitText(result error) string {
	var exit *exec.ExitError
	switch {
	case result == nil:
		return "exit code 0"
	case errors.As(result, &exit) && exit.Exited():
		return fmt.Sprintf("exit code %d", exit.ExitCode())
	default:
		return result.Error() // such as "signal: killed"
	}
}
