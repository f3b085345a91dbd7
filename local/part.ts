/** The nodes as a part of the platform: nothing is installed, and what they promise is shown by breaking them. */
import type { Part } from '#core'
import { apiServerKilled } from './scenarios/api-server.ts'
import { nodeDrained } from './scenarios/drained.ts'
import { nodeLost } from './scenarios/lost.ts'
import { nodeRestarted } from './scenarios/restarted.ts'

export const nodes: Part = {
  name: 'nodes',
  namespaces: [],
  images: [],
  applications: () => [],
  scenarios: [nodeDrained, nodeLost, nodeRestarted, apiServerKilled],
}
