// Package recording reads robot demonstrations: LeRobotDataset v3.0 and v2.1 folders
// (https://github.com/huggingface/lerobot), many episodes of observations and actions in
// parquet files, with their camera images as video files or as PNG and JPEG inside the
// parquet.
//
// The format is a convention more than a standard, and recordings met in the wild stray
// from it. What strays either yields its data or an error; the error is or wraps a
// *Defect, which names the file, the column and what was expected. Files are never
// trusted: corrupt ones are errors, not panics.
//
// Training reads whole numeric features as contiguous float32 arrays, and cuts windows
// out of them that never cross an episode:
//
//	dataset, err := recording.Open(dir)
//	table, err := dataset.Load(ctx, "observation.state", "action")
//	windows, err := table.Windows(2, -1, 16)
//	var w recording.Window
//	windows.At(row, &w) // indexes of rows, for table.Column("action").Row(i)
//
// Replay reads one episode at a time with LoadEpisode and Frames. Verify reads
// everything and lists what is wrong.
//
// Values keep the units of the recording.
package recording
