export { publishModel } from './publish-model.js'
