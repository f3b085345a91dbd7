/** The nodes as a part of the platform: nothing is installed, and what they promise is shown by breaking them. */
import type { Part } from '#core'
import { apiServerKilled } from './scenarios/api-server.ts'
import { nodeDrained } from './scenarios/drained.ts'
import { nodeLost } from './scenarios/lost.ts'
import { nodeRestarted } from './scenarios/restarted.ts'
import { spotInterrupted } from './scenarios/spot.ts'

export const nodes: Part = {
  name: 'nodes',
  namespaces: [],
  images: [],
  applications: () => [],
  scenarios: [nodeDrained, spotInterrupted, nodeLost, nodeRestarted, apiServerKilled],
}
