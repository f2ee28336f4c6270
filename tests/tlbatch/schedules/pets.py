"""The study that tests of schedules apply."""

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: s3://pets/images}
runs: [{name: cnn, model: {scratch: {channels: [4], dense: [8]}}}]
schedule: {cron: "0 3 * * *", timezone: Asia/Shanghai}
"""
