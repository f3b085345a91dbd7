// Package supervise carries out the plan: it prepares the container, runs the components in order, watches them, and
// stops them in order.
package supervise

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast.local/node/plan"
)

// Exit codes of the node. After exitFailed Docker's restart policy may try again; after exitUsage that is no use.
const (
	exitStopped = 0
	exitFailed  = 1
	exitUsage   = 2
)

// movers are the components that start and move things: they stop first.
var movers = []string{"kubelet", "kube-proxy", "kube-controller-manager", "kube-scheduler"}

// bringUp takes a node from nothing to ready. What goes on for the node's whole life ends with the context.
type bringUp func(ctx context.Context, options plan.Options, running *processes) error

// Run is a node in this role. It returns when the node has stopped.
func Run(role plan.Role, args []string) (exitCode int) {
	options, err := plan.ParseOptions(role, args, os.Getenv)
	if err != nil {
		fmt.Fprintf(os.Stderr, "node %s: %v\n", role, err)
		return exitUsage
	}
	if err := enterCgroupNamespace(); err != nil {
		say("%v", err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if role == plan.Agent {
		return serve(ctx, options, bringUpAgent)
	}
	return serve(ctx, options, bringUpServer)
}

// serve brings the node up and keeps watch until it is told to stop or something fails.
func serve(ctx context.Context, options plan.Options, up bringUp) (exitCode int) {
	running := newProcesses(plan.Logs)
	living, abandon := context.WithCancel(ctx)
	defer abandon()
	broughtUp := make(chan error, 1)
	go func() {
		defer close(broughtUp)
		broughtUp <- up(living, options, running)
	}()
	exitCode = watch(ctx, running, broughtUp)
	// No component may start while they are stopped.
	abandon()
	for range broughtUp {
	}
	stopAll(running)
	return exitCode
}

// watch keeps the components running. It returns when the node has to stop, and says why.
func watch(ctx context.Context, running *processes, broughtUp <-chan error) (exitCode int) {
	var again restarts
	due := make(chan plan.Component, cap(running.ended))
	for {
		select {
		case <-ctx.Done():
			say("asked to stop")
			return exitStopped
		case ended := <-running.ended:
			say("%s", ended.obituary())
			pause, allowed := again.after(ended.component.Name, time.Now())
			if !allowed {
				say("%s ended %d times within %s: the node stops", ended.component.Name, restartsAllowed+1, restartsWithin)
				return exitFailed
			}
			time.AfterFunc(pause, func() { due <- ended.component })
		case component := <-due:
			if err := running.start(component); err != nil {
				say("%v", err)
				return exitFailed
			}
			say("%s is started again", component.Name)
		case err, open := <-broughtUp:
			switch {
			case !open:
				broughtUp = nil // nothing more to come: a nil channel is never ready
			case err == nil:
				say("Node controller sync successful") // what testcontainers waits for; the words are k3s's
			case ctx.Err() == nil:
				say("the node cannot start: %v", err)
				return exitFailed
			}
		}
	}
}

// A component that ends is started again, as systemd and the kubelet do it on other machines: kube-proxy even ends on
// purpose when the node's address changes. The first time at once, then after one pause more each time: the kubelet ends
// within a tenth of a second while containerd is not back. One that cannot run takes the node with it, which says so.
const (
	restartsAllowed = 3
	restartsWithin  = time.Minute
	restartPause    = time.Second
)

// restarts remembers when components ended.
type restarts struct{ ends map[string][]time.Time }

// after says how soon a component that ended now starts again, and whether it may.
func (r *restarts) after(name string, now time.Time) (pause time.Duration, allowed bool) {
	if r.ends == nil {
		r.ends = map[string][]time.Time{}
	}
	recent := []time.Time{now}
	for _, end := range r.ends[name] {
		if now.Sub(end) < restartsWithin {
			recent = append(recent, end)
		}
	}
	r.ends[name] = recent
	return time.Duration(len(recent)-1) * restartPause, len(recent) <= restartsAllowed
}

// prepare makes the container a machine, and returns what its components run with.
func prepare(ctx context.Context, options plan.Options) (plan.Node, error) {
	for _, note := range options.Notes {
		say("%s", note)
	}
	if err := prepareHost(ctx); err != nil {
		return plan.Node{}, err
	}
	name, err := chooseNodeName(options.NodeName, plan.NodeNameFile)
	if err != nil {
		return plan.Node{}, err
	}
	ip, err := nodeIP()
	if err != nil {
		return plan.Node{}, err
	}
	node := plan.Node{Name: name, IP: ip, Options: options, BridgeFiltered: bridgeFiltered()}
	say("node %s at %s", name, ip)
	return node, writeConfiguration(node)
}

// awaitImages imports the images. The kubelet must find them: a pod whose image is not there is pulled for, and waits
// ten seconds after the failure.
func awaitImages(ctx context.Context) error {
	if err := waitForSocket(ctx, "containerd", plan.ContainerdSocket); err != nil {
		return err
	}
	return importImages(ctx, plan.ImageRecord, plan.BakedImages, plan.UserImages)
}

// awaitNode connects the node's pods, and waits until it is Ready.
func awaitNode(ctx context.Context, api *cluster, node plan.Node, started time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return api.connectPods(ctx, node.Name) })
	group.Go(func() error {
		if err := api.waitForNode(ctx, node.Name); err != nil {
			return err
		}
		say("the node is Ready (%s)", since(started))
		return nil
	})
	return group.Wait()
}

// stopAll stops the node in order, within the ten seconds that `docker stop` grants: what starts pods, the pods, and
// then the storage that all the others write to.
func stopAll(running *processes) {
	begun := time.Now()
	running.stop(1500*time.Millisecond, movers...)
	stopContainers(2500 * time.Millisecond)
	running.stop(1500*time.Millisecond, "kube-apiserver")
	running.stop(2*time.Second, "etcd")
	running.stop(time.Second, "containerd")
	say("stopped (%s)", since(begun))
}

func since(moment time.Time) time.Duration { return time.Since(moment).Round(10 * time.Millisecond) }
