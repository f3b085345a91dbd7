// Package supervise carries out the plan: it prepares the container, runs the components in order, watches them, and
// stops them in order.
package supervise

import (
	"context"
	"errors"
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

// Server is the role of a node that is a whole cluster. It returns when the node has stopped.
func Server(args []string) (exitCode int) {
	options, err := plan.ParseOptions(args, os.Getenv)
	if err != nil {
		fmt.Fprintf(os.Stderr, "node server: %v\n", err)
		return exitUsage
	}
	if err := enterCgroupNamespace(); err != nil {
		say("%v", err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return serve(ctx, options)
}

// serve brings the node up and keeps watch until it is told to stop or something fails.
func serve(ctx context.Context, options plan.Options) (exitCode int) {
	running := newProcesses(plan.Logs)
	starting, abandon := context.WithCancel(ctx)
	defer abandon()
	broughtUp := make(chan error, 1)
	go func() {
		defer close(broughtUp)
		broughtUp <- bringUp(starting, options, running)
	}()
	exitCode = watch(ctx, running, broughtUp)
	// No component may start while they are stopped.
	abandon()
	for range broughtUp {
	}
	stopAll(running)
	return exitCode
}

// watch returns when the node has to stop, and says why.
func watch(ctx context.Context, running *processes, broughtUp <-chan error) (exitCode int) {
	for {
		select {
		case <-ctx.Done():
			say("asked to stop")
			return exitStopped
		case ended := <-running.ended:
			say("%s", ended.obituary())
			return exitFailed
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

// bringUp takes the node from nothing to ready.
func bringUp(ctx context.Context, options plan.Options, running *processes) error {
	started := time.Now()
	node, err := prepare(ctx, options)
	if err != nil {
		return err
	}
	if err := running.startAll(node.Etcd(), node.Containerd()); err != nil {
		return err
	}
	// An API server that does not find etcd at its first try waits a second before the next one.
	if err := waitForSocket(ctx, "etcd", plan.EtcdSocket); err != nil {
		return err
	}
	if err := running.start(node.APIServer()); err != nil {
		return err
	}
	api, err := openCluster(plan.Kubeconfig)
	if err != nil {
		return err
	}
	if err := becomeReachable(ctx, api); err != nil {
		return err
	}
	say("the API server is ready (%s)", since(started))
	if err := api.markNotReady(ctx, node.Name); err != nil {
		return err
	}
	if err := running.startAll(node.ControllerManager(), node.Kubelet(), node.Proxy(), node.Scheduler()); err != nil {
		return err
	}
	return becomeReady(ctx, api, node, started)
}

// prepare writes all that the components need, and returns what they run with.
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
	return node, errors.Join(writeCredentials(node), writeConfiguration(node))
}

// becomeReachable waits for the API server while the images are imported. The kubelet must find them: a pod whose
// image is not there is pulled for, and waits ten seconds after the failure.
func becomeReachable(ctx context.Context, api *cluster) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return api.waitForAPI(ctx) })
	group.Go(func() error {
		if err := waitForSocket(ctx, "containerd", plan.ContainerdSocket); err != nil {
			return err
		}
		return importImages(ctx, plan.ImageRecord, plan.BakedImages, plan.UserImages)
	})
	return group.Wait()
}

// becomeReady applies the manifests and waits for what they and the components make.
func becomeReady(ctx context.Context, api *cluster, node plan.Node, started time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return api.connectPods(ctx, node.Name) })
	group.Go(func() error {
		if err := api.waitForNode(ctx, node.Name); err != nil {
			return err
		}
		say("the node is Ready (%s)", since(started))
		return nil
	})
	group.Go(func() error {
		manifests, err := allManifests(node.Disabled)
		if err != nil {
			return err
		}
		if err := api.applyManifests(ctx, manifests); err != nil {
			return err
		}
		say("the manifests are applied (%s)", since(started))
		return nil
	})
	if !node.IsDisabled("coredns") {
		group.Go(func() error {
			if err := api.waitForDNS(ctx, started); err != nil {
				return err
			}
			say("CoreDNS is ready (%s)", since(started))
			return nil
		})
	}
	return group.Wait()
}

// allManifests are the node's own and, after them, the user's.
func allManifests(disabled []string) ([]manifest, error) {
	baked, err := loadManifests(plan.BakedManifests, disabled)
	if err != nil {
		return nil, err
	}
	users, err := loadManifests(plan.UserManifests, disabled)
	return append(baked, users...), err
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
