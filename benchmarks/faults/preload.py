"""What processes that are forked for each case have imported already."""

import headlight.cli
import headlight.clustering
import headlight.explore.app.session
import headlight.explore.report.contents
import headlight.export
import headlight.runs.model  # noqa: F401
